"""Which input makes a network forget? Growth step by step over an image. Draws docs/pictures/forgetting.png.

python docs/examples/forgetting.py        # about a minute on one core
"""

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from aelle_core import lyapunov_spectrum
from aelle_core.cells import Network, get_cell
from aelle_core.lyapunov.instantaneous import instantaneous_exponents
from aelle_core.tasks import get_task
from aelle_core.training import NetworkSettings, PackTrainer

PICTURE = Path(__file__).parent.parent / "pictures" / "forgetting.png"
EPOCHS = 12
DELAY = 6


def trained() -> tuple[Network, torch.Tensor]:
    """Return a GRU that has learned digits, read half a row per step and named after a delay, and an image."""
    task = get_task("digits", options={"pixels": 4, "delay": DELAY})
    cell = get_cell("gru", task.input_size, 32)
    trainer = PackTrainer(cell, task, [NetworkSettings(seed=0, scale=0.3, learning_rate=0.01)])
    *_, last = trainer.run(EPOCHS)
    print(f"validation accuracy after {EPOCHS} epochs: {float(last.validation_accuracy[0]):.2f}")
    parameters = {name: value.detach()[0] for name, value in trainer.network().parameters.items()}
    return Network(cell, parameters), task.splits.validation.inputs[:1]


def main() -> None:
    """Draw an image beside the growth of every step, before and after training."""
    network, image = trained()
    cell = network.cell
    start = NetworkSettings(seed=0, scale=0.3, learning_rate=0.01).initial_weights(cell)
    rows = image.shape[1] - DELAY
    labels = [f"{step // 2 + 1}{'ab'[step % 2]}" if step < rows else "-" for step in range(image.shape[1])]
    figure = Figure(figsize=(9, 4.6), layout="constrained", facecolor="white")
    grid = figure.add_gridspec(2, 2, width_ratios=(1, 3.4))
    shown = figure.add_subplot(grid[:, 0])
    shown.imshow(image[0, :rows].reshape(-1, 8), cmap="gray_r")
    shown.set_yticks(range(8), [str(row + 1) for row in range(8)])
    shown.set_xticks([1.5, 5.5], ["a", "b"])
    shown.set_title("the image, read in half rows", fontsize=10)
    for place, (title, one) in enumerate((("before training", Network(cell, start)), ("after training", network))):
        spectrum = lyapunov_spectrum(one, image, running=1)
        axes = spectrum.plot_instantaneous(labels, leading=1, axes=figure.add_subplot(grid[place, 1]))
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("input: row and half; -: delay" if place else "")
        means = instantaneous_exponents(spectrum)[1].mean(axis=1)
        print(
            f"{title}: image {means[:rows].mean():+.2f}, delay {means[rows:].mean():+.2f} nats per step and direction; "
            f"it forgets most at {labels[int(np.argmin(means))]}"
        )
    figure.savefig(PICTURE, dpi=150)


if __name__ == "__main__":
    main()
