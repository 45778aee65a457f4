"""The spectrum of your own network while it learns: a plain torch LSTM that reads handwritten digits row by row.

    python docs/examples/own_lstm.py          # half a minute on one core; prints the table, draws two pictures

Nothing here is written for AeLLE but the two lines that call lyapunov_spectrum.
"""

from pathlib import Path

import matplotlib

matplotlib.use("agg")

import torch
from matplotlib import pyplot
from sklearn.datasets import load_digits
from torch import Tensor, nn

from aelle_core import LyapunovSpectrum, lyapunov_spectrum

PICTURES = Path(__file__).parent.parent / "pictures"
EPOCHS = 30


class Reader(nn.Module):
    """Rows of an image in, digit out."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = nn.LSTM(8, 32, batch_first=True)
        self.read_out = nn.Linear(32, 10)

    def forward(self, rows: Tensor) -> Tensor:
        states, _ = self.memory(rows)
        return self.read_out(states[:, -1])


def main() -> None:
    torch.manual_seed(0)
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32) / 16
    labels = torch.tensor(digits.target)
    order = torch.randperm(len(images))
    training, held_out = order[:1400], order[1400:]
    probe = images[held_out[:50]]  # the sequences that drive the network while its spectrum is taken

    model = Reader()
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    history: list[tuple[int, float, float, LyapunovSpectrum]] = []
    for epoch in range(EPOCHS + 1):
        model.eval()
        with torch.no_grad():
            outputs = model(images[held_out])
            loss = float(nn.functional.cross_entropy(outputs, labels[held_out]))
            accuracy = float((outputs.argmax(dim=1) == labels[held_out]).float().mean())
        spectrum = lyapunov_spectrum(model, probe)  # the LSTM inside the model, on what it receives there
        history.append((epoch, loss, accuracy, spectrum))
        model.train()
        for batch in training[torch.randperm(len(training))].split(32):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimiser.step()

    print("epoch   loss  accuracy  largest exponent (se)   mean exponent  resolved")
    for epoch, loss, accuracy, spectrum in history:
        if epoch % 5 == 0:
            resolved = 0 if spectrum.resolved is None else int(spectrum.resolved.sum())
            print(
                f"{epoch:5d}  {loss:.3f}     {accuracy:.3f}       {spectrum.maximum:+.3f} ({spectrum.stderr[0]:.3f})"
                f"         {spectrum.mean:+.3f}      {resolved} of {spectrum.size}"
            )
    draw(history)


def draw(history: list[tuple[int, float, float, LyapunovSpectrum]]) -> None:
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    shades = pyplot.get_cmap("viridis")
    for place, epoch in enumerate((0, 1, 2, 5, 10, 30)):
        exponents = history[epoch][3].exponents
        left.plot(range(1, len(exponents) + 1), exponents, color=shades(place / 5.5), label=f"epoch {epoch}")
    left.axhline(0.0, color="0.6", linewidth=0.8)
    left.set_xlabel("index")
    left.set_ylabel("Lyapunov exponent (nats per step)")
    left.legend(frameon=False, fontsize="small")
    epochs = [row[0] for row in history]
    right.plot(epochs, [row[1] for row in history], color="#cc6677", label="held-out loss (nats)")
    right.set_xlabel("epoch")
    right.set_ylabel("held-out loss (nats)", color="#cc6677")
    other = right.twinx()
    largest = [row[3].maximum for row in history]
    spread = [row[3].stderr[0] for row in history]
    other.errorbar(epochs, largest, yerr=spread, color="#4477aa", fmt="o-", markersize=3, linewidth=1)
    other.set_ylabel("largest exponent (nats per step)", color="#4477aa")
    PICTURES.mkdir(exist_ok=True)
    figure.savefig(PICTURES / "own-lstm.png", dpi=150)

    last = history[-1][3]
    figure, axes = pyplot.subplots(figsize=(6, 3.5), layout="constrained")
    last.plot(axes)
    figure.savefig(PICTURES / "own-lstm-spectrum.png", dpi=150)


if __name__ == "__main__":
    main()
