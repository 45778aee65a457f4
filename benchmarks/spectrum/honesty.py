"""How often an exponent that is marked resolved is off: random networks against many digits.

    python -m benchmarks.spectrum.honesty                    # 10,000 networks, half an hour on one core
    python -m benchmarks.spectrum.honesty --each 500         # the first 500 of either kind
    python -m benchmarks.spectrum.honesty --sequences 10     # so many that few of them have second copies

Two kinds, every cell, hidden and whole state, 2 to 6 units, 1 to 24 steps of one or two sequences, which leaves the
check few chances: `ordinary` networks, gain 0.1 to 30 on recurrent and input weights, and `saturated` ones, gain 30 to
300. Each is measured with the compiled kernel and with torch's, with several draws of the disturbance, and every
fiftieth in extended precision. What is printed for each: exponents, how many of them are marked resolved, and
networks with a resolved exponent that is off by more than 1e-6 nats per step; a line for each of those follows.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from aelle_core import lyapunov_spectrum
from aelle_core.cells import Network, cells
from aelle_core.lyapunov import few_checked, stretches
from aelle_core.lyapunov.kernels.rounding import Rounding
from aelle_core.lyapunov.kernels.tangents import TorchTangents
from aelle_core.lyapunov.result import LyapunovSpectrum, Precision
from benchmarks.spectrum.cases import draw_inputs, draw_network
from tests.helpers.references import EQUATIONS, arrays_of, reference_spectrum

SCALE = 0.5
EACH = 5000
GAINS = {"ordinary": (0.1, 30.0), "saturated": (30.0, 300.0)}
LENGTHS = (1, 2, 3, 4, 6, 8, 12, 24)
TOLERANCE = 1e-6  # nats per step: the promise
EXTENDED_EVERY = 50

Way = tuple[Precision, str, int]
"""Precision, kernel and draw."""


@dataclass(frozen=True)
class Drawn:
    """A random network with its inputs (sequences, time, features)."""

    label: str
    cell: str
    network: Network
    inputs: torch.Tensor
    jacobian: Any

    def reference(self, kept: Path | None) -> np.ndarray:
        """(k,) descending, in many digits, or from what an earlier run has kept in that folder."""
        file = None if kept is None else kept / f"{self.label}.npy"
        if file is not None and file.exists():
            return np.load(file)
        arrays = arrays_of(self.network)
        spectra = [
            reference_spectrum(self.cell, arrays, sequence, jacobian=self.jacobian) for sequence in self.inputs.numpy()
        ]
        mean = -np.sort(-np.mean(spectra, axis=0))
        if file is not None:
            np.save(file, mean)
        return mean


def drawn(kind: str, number: int, sequences: int | None = None) -> Drawn:
    """The network of that number of a kind, along one or two sequences, or so many."""
    source = np.random.default_rng((number, list(GAINS).index(kind)))
    name = str(source.choice([name for name in cells if name in EQUATIONS]))
    units, length, features = int(source.integers(2, 7)), int(source.choice(LENGTHS)), int(source.integers(1, 4))
    gain = float(np.exp(source.uniform(*np.log(GAINS[kind]))))
    few = int(source.integers(1, 3))
    sequences = sequences or few
    jacobian = str(source.choice(["full", "hidden"]))
    network = draw_network(name, units, scale=SCALE, gain=gain, features=features, seed=number)
    inputs = draw_inputs(sequences, length, features, seed=number)
    label = f"{kind}-{number}-{name}-{jacobian}-gain-{gain:.4g}" + (f"-{sequences}" if sequences > 2 else "")
    return Drawn(label, name, network, inputs, jacobian)


@dataclass
class Counts:
    """Exponents, those of them marked resolved, and the networks where one of these is wrong, with by how much."""

    networks: int = 0
    exponents: int = 0
    resolved: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, label: str, spectrum: LyapunovSpectrum, expected: np.ndarray) -> None:
        assert spectrum.resolved is not None
        with np.errstate(invalid="ignore"):
            error = np.where(spectrum.exponents == expected, 0.0, np.abs(spectrum.exponents - expected))
        off = ~(error <= TOLERANCE) & spectrum.resolved
        self.networks += 1
        self.exponents += len(expected)
        self.resolved += int(spectrum.resolved.sum())
        if off.any():
            self.wrong.append(f"{label}: off by {np.nanmax(error[off]):.3g}")


def measured(problem: Drawn, precision: Precision, kernel: str, draw: int) -> LyapunovSpectrum:
    """The spectrum, with the kernel of that name and that draw of the disturbance."""
    chosen = stretches._kernel_for if kernel == "compiled" else lambda *_: TorchTangents
    smallest = 1 if len(problem.inputs) > 2 else few_checked.SMALLEST  # what holds for few dimensions is counted
    with (
        patch.object(stretches, "_kernel_for", chosen),
        patch.object(Rounding, "draw", draw),
        patch.object(few_checked, "SMALLEST", smallest),
    ):
        return lyapunov_spectrum(problem.network, problem.inputs, jacobian=problem.jacobian, precision=precision)


def counted(
    kind: str, first: int, networks: int, draws: int, sequences: int | None, kept: Path | None
) -> dict[tuple[Precision, str, int], Counts]:
    """Counts of every precision, kernel and draw."""
    ways: list[Way] = [("exact", kernel, draw) for kernel in ("compiled", "torch") for draw in range(draws)]
    by_way: dict[Way, Counts] = {way: Counts() for way in [*ways, ("extended", "compiled", 0)]}
    numbers = range(first, first + networks)
    for number in track(numbers, kind, networks, console=Console(stderr=True)):
        problem = drawn(kind, number, sequences)
        expected = problem.reference(kept)
        for precision, kernel, draw in _ways_of(number, ways):
            way = (precision, kernel, draw)
            by_way[way].add(problem.label, measured(problem, precision, kernel, draw), expected)
    return by_way


def _ways_of(number: int, ways: list[Way]) -> Iterator[Way]:
    yield from ways
    if number % EXTENDED_EVERY == 0:
        yield ("extended", "compiled", 0)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--each", type=int, default=EACH, help="networks of either kind")
    options.add_argument("--first", type=int, default=0, help="number of the first network of either kind")
    options.add_argument("--draws", type=int, default=2, help="draws of the disturbance")
    options.add_argument("--sequences", type=int, help="of every network; one or two by default")
    options.add_argument("--keep", type=Path, help="folder in which references are kept for another run")
    given = options.parse_args()
    if given.keep is not None:
        given.keep.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    headings = ("networks", "precision", "kernel", "draw", "number", "exponents", "resolved", "with a wrong one")
    table = Table(*headings, box=None)
    wrong: list[str] = []
    for kind in GAINS:
        for (precision, kernel, draw), counts in counted(
            kind, given.first, given.each, given.draws, given.sequences, given.keep
        ).items():
            share = f"{counts.resolved} ({counts.resolved / max(1, counts.exponents):.1%})"
            numbers = (str(counts.networks), str(counts.exponents), share, str(len(counts.wrong)))
            table.add_row(kind, precision, kernel, str(draw), *numbers)
            wrong += [f"{precision}, {kernel}, draw {draw}: {network}" for network in counts.wrong]
    Console(width=120).print(table)
    for line in wrong:
        print(line)


if __name__ == "__main__":
    main()
