"""How often an exponent that is marked resolved is off all the same: random networks against mpmath.

    python -m benchmarks.spectrum.honesty          # two minutes on one core

Two kinds, one sequence each, which leaves the check the fewest chances: `ordinary` networks of every cell, 2 to 6
units, 1 to 6 steps, gain 0.1 to 30 on recurrent and input weights; and `saturated` gated ones, the whole state, 2 to 6
units, 1 to 3 steps, gain 6 to 160.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from aelle_core import lyapunov_spectrum
from aelle_core.cells import Network, cells
from aelle_core.lyapunov.result import Precision
from benchmarks.spectrum.cases import draw_inputs, draw_network
from tests.helpers.references import arrays_of, reference_spectrum

SCALE = 0.5
EACH = 1000

Case = tuple[str, Network, torch.Tensor, Any]


def random_case(seed: int, names: list[str], gains: tuple[float, float], steps: int, kinds: list[str]) -> Case:
    source = np.random.default_rng(seed)
    name = str(source.choice(names))
    units, length, features = int(source.integers(2, 7)), int(source.integers(1, steps + 1)), int(source.integers(1, 4))
    gain = float(np.exp(source.uniform(*np.log(gains))))
    network = draw_network(name, units, scale=SCALE, gain=gain, features=features, seed=seed)
    return name, network, draw_inputs(1, length, features, seed=seed), str(source.choice(kinds))


def ordinary() -> Iterator[Case]:
    return (random_case(seed, list(cells), (0.1, 30.0), 6, ["full", "hidden"]) for seed in range(EACH))


def saturated() -> Iterator[Case]:
    return (random_case(seed, ["lstm", "lem", "gru"], (6.0, 160.0), 3, ["full"]) for seed in range(EACH))


def main() -> None:
    torch.set_num_threads(1)
    columns = ("networks", "precision", "number", "exponents", "resolved", "networks with a wrong one among those")
    table = Table(*columns, box=None)
    for kind in (ordinary, saturated):
        for precision, counts in counted(kind).items():
            share = f"{counts.resolved} ({counts.resolved / counts.exponents:.1%})"
            table.add_row(kind.__name__, precision, str(EACH), str(counts.exponents), share, str(counts.wrong))
    Console().print(table)


@dataclass
class Counts:
    """Exponents, those of them marked resolved, and networks where one of these is wrong."""

    exponents: int = 0
    resolved: int = 0
    wrong: int = 0


def counted(kind: Callable[[], Iterator[Case]]) -> dict[Precision, Counts]:
    found: dict[Precision, Counts] = {"exact": Counts(), "extended": Counts()}
    for name, network, inputs, jacobian in track(kind(), kind.__name__, EACH, console=Console(stderr=True)):
        expected = -np.sort(-reference_spectrum(name, arrays_of(network), inputs[0].numpy(), jacobian=jacobian))
        for precision, counts in found.items():
            spectrum = lyapunov_spectrum(network, inputs, jacobian=jacobian, precision=precision)
            assert spectrum.resolved is not None
            with np.errstate(invalid="ignore"):
                off = ~((spectrum.exponents == expected) | (np.abs(spectrum.exponents - expected) <= 1e-6))
            counts.exponents += len(expected)
            counts.resolved += int(spectrum.resolved.sum())
            counts.wrong += bool((off & spectrum.resolved).any())
    return found


if __name__ == "__main__":
    main()
