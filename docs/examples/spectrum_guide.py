"""The pictures of the guide to spectra: chaos, saturation, convergence.

python docs/examples/spectrum_guide.py        # about two minutes on one core
"""

from pathlib import Path

import matplotlib

matplotlib.use("agg")

import mpmath
import numpy as np
import torch
from matplotlib import pyplot
from torch import Tensor

from aelle_core import lyapunov_spectrum
from aelle_core.cells import Network, get_cell

PICTURES = Path(__file__).parent.parent / "pictures"


def random_rnn(units: int, gain: float, inputs: int = 1, driven: float = 0.0, seed: int = 0) -> Network:
    """h' = tanh(U h + W x): entries of U are N(0, gain^2 / units), of W N(0, driven^2 / inputs)."""
    source = torch.Generator().manual_seed(seed)
    cell = get_cell("rnn", inputs, units)
    recurrent = torch.randn(units, units, generator=source, dtype=torch.float64) * gain / units**0.5
    by_input = torch.randn(units, inputs, generator=source, dtype=torch.float64) * driven / inputs**0.5
    zeros = torch.zeros(units, dtype=torch.float64)
    return Network(cell, {"weight_ih": by_input, "weight_hh": recurrent, "bias_ih": zeros, "bias_hh": zeros})


def chaos() -> None:
    """An autonomous random network loses its rest at gain 1; input tames the chaos beyond."""
    units, steps, warmup = 100, 1000, 200
    start = torch.randn(5, units, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    still = torch.zeros(5, steps, 1, dtype=torch.float64)
    noise = torch.randn(5, steps, 1, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    shades = pyplot.get_cmap("viridis")
    gains = [0.6, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 4.0]
    print("gain  largest exponent: autonomous (se)  driven (se)   Kaplan-Yorke dimension, autonomous")
    alone, driven = [], []
    for gain in gains:
        options = {"initial_state": start, "warmup": warmup, "check": False}
        alone.append(lyapunov_spectrum(random_rnn(units, gain), still, **options))  # type: ignore[arg-type]
        driven.append(lyapunov_spectrum(random_rnn(units, gain, driven=1.0), noise, **options))  # type: ignore[arg-type]
        print(
            f"{gain:4.2f}  {alone[-1].maximum:+.4f} ({alone[-1].stderr[0]:.4f})"
            f"                 {driven[-1].maximum:+.4f} ({driven[-1].stderr[0]:.4f})"
            f"   {alone[-1].kaplan_yorke_dimension:.1f}"
        )
        if gain in (0.8, 1.1, 1.5, 2.0, 4.0):
            left.plot(range(1, units + 1), alone[-1].exponents, color=shades(1 - gain / 4.4), label=f"gain {gain}")
    for axes in (left, right):
        axes.axhline(0.0, color="0.6", linewidth=0.8)
    left.set_xlabel("index")
    left.set_ylabel("Lyapunov exponent (nats per step)")
    left.legend(frameon=False, fontsize="small")
    for spectra, colour, label in ((alone, "#4477aa", "autonomous"), (driven, "#cc6677", "driven by noise")):
        largest = [each.maximum for each in spectra]
        spread = [each.stderr[0] for each in spectra]
        right.errorbar(gains, largest, yerr=spread, fmt="o-", markersize=3, color=colour, label=label)
    right.set_xlabel("gain of the recurrent weights")
    right.set_ylabel("largest exponent (nats per step)")
    right.legend(frameon=False, fontsize="small")
    figure.savefig(PICTURES / "chaos.png", dpi=150)


def saturation() -> None:
    """Textbook QR against the engine and 1,500 digits, as the gain grows."""
    units, steps, inputs = 24, 3, 4
    gains = np.geomspace(1, 100, 9)
    textbook, ours, marked = [], [], []
    print("gain   largest error: textbook QR   this engine   of those resolved   resolved")
    for gain in gains:
        network = random_rnn(units, gain, inputs, driven=gain)
        drive = torch.randn(1, steps, inputs, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        spectrum = lyapunov_spectrum(network, drive)
        exact, plain = by_hand(network, drive[0])
        textbook.append(np.abs(np.sort(plain) - np.sort(exact)).max())
        error = np.abs(spectrum.exponents - np.sort(exact)[::-1])
        assert spectrum.resolved is not None
        ours.append(error.max())
        marked.append(error[spectrum.resolved].max(initial=0.0))
        print(
            f"{gain:5.1f}   {textbook[-1]:.1e}                     {ours[-1]:.1e}       "
            f"{marked[-1]:.1e}              {int(spectrum.resolved.sum())} of {units}"
        )
    figure, axes = pyplot.subplots(figsize=(6, 3.5), layout="constrained")
    axes.loglog(gains, textbook, "o-", color="#cc6677", label="Householder QR, rows as they come")
    axes.loglog(gains, ours, "o", color="#4477aa", markerfacecolor="none", label="this engine, all exponents")
    axes.loglog(gains, marked, "o-", color="#4477aa", markersize=4, label="this engine, those marked resolved")
    axes.axhline(1e-6, color="0.6", linewidth=0.8, linestyle="--")
    axes.set_xlabel("gain of the recurrent and the input weights")
    axes.set_ylabel("largest error (nats per step)")
    figure.legend(loc="outside upper left", frameon=False, fontsize="small")
    figure.savefig(PICTURES / "saturation.png", dpi=150)


def by_hand(network: Network, drive: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The exponents in 1,500 digits, and by numpy's QR in float64 with 1 - h^2 replaced by a stable derivative."""
    recurrent, by_input = (network.parameters[name].numpy() for name in ("weight_hh", "weight_ih"))
    numbers = np.frompyfunc(mpmath.mpf, 1, 1)
    units = len(recurrent)
    with mpmath.workdps(1500):
        state, frame = numbers(np.zeros(units)), numbers(np.eye(units))
        plain_state, plain_frame = np.zeros(units), np.eye(units)
        exact, plain = np.zeros(units), np.zeros(units)
        for x in drive.numpy():
            a = numbers(recurrent) @ state + numbers(by_input) @ numbers(x)
            state = np.frompyfunc(mpmath.tanh, 1, 1)(a)
            pushed = (np.frompyfunc(mpmath.sech, 1, 1)(a) ** 2)[:, None] * (numbers(recurrent) @ frame)
            for column in range(units):
                earlier = pushed[:, :column]
                if column:
                    pushed[:, column] = pushed[:, column] - earlier @ (earlier.T @ pushed[:, column])
                length = mpmath.sqrt((pushed[:, column] ** 2).sum())
                pushed[:, column] = pushed[:, column] / length
                exact[column] += float(mpmath.log(length))
            frame = pushed
            a64 = recurrent @ plain_state + by_input @ x
            plain_state = np.tanh(a64)
            e = np.exp(-2 * np.abs(a64))
            plain_frame, r = np.linalg.qr((4 * e / (1 + e) ** 2)[:, None] * (recurrent @ plain_frame))
            with np.errstate(divide="ignore"):
                plain += np.log(np.abs(np.diag(r)))
    return exact / len(drive), plain / len(drive)


def convergence() -> None:
    """Finite-time exponents of the Lorenz flow, sampled every 0.01, settle on 0.906, 0 and -14.57 per unit of time."""
    dt = 0.01

    def flow(state: Tensor) -> Tensor:
        x, y, z = state.unbind(-1)
        return torch.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], dim=-1)

    def step(_: Tensor | None, state: Tensor) -> Tensor:
        k1 = flow(state)
        k2 = flow(state + dt / 2 * k1)
        k3 = flow(state + dt / 2 * k2)
        k4 = flow(state + dt * k3)
        return state + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    start = torch.randn(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + torch.tensor(
        [0, 0, 25]
    )
    spectrum = lyapunov_spectrum(step, steps=6000, warmup=1000, initial_state=start, running=50, check=False)
    exponents, stderr = spectrum.exponents / dt, spectrum.stderr / dt
    print(
        "Lorenz, per unit of time:", ", ".join(f"{a:.3f} (se {b:.3f})" for a, b in zip(exponents, stderr, strict=True))
    )
    print(f"Kaplan-Yorke dimension: {spectrum.kaplan_yorke_dimension:.3f}")
    figure, axes = pyplot.subplots(figsize=(6, 3.5), layout="constrained")
    spectrum.plot_running(axes)
    figure.savefig(PICTURES / "convergence.png", dpi=150)


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    chaos()
    saturation()
    convergence()
