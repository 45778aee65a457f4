"""Networks whose matrices are mostly zeros, against the same Jacobians given as dense matrices, in one run.

    python -m benchmarks.spectrum.sparse     # two minutes on one core

CPU time of this process, the least of several runs that take turns, microseconds a step and sequence. A tenth of the
entries of a rank1 network's M are there, a fifth of a reservoir's U; w_o is drawn, as if trained.
"""

import argparse
import time
from collections.abc import Callable

import torch
from rich.console import Console

from aelle_core import lyapunov_spectrum
from aelle_core.cells import Network, dense_jacobian, get_cell
from aelle_core.foundation.counting import counted
from aelle_core.foundation.random_streams import generator
from benchmarks.shared import page
from benchmarks.shared.tables import Table, number
from benchmarks.shared.timing import on_threads

SIZES = {"rank1": (64, 128, 512), "esn": (64, 128, 256)}
SCALES = {"rank1": 1.5, "esn": 0.9}
TURNS = 4


def drawn(cell: str, units: int) -> Network:
    """A network of that cell with one input."""
    source = generator(units, "test")
    made = get_cell(cell, 1, units)
    parameters = made.initialise(source, SCALES[cell])
    if "w_o" in parameters:
        parameters["w_o"] = 0.05 * torch.randn(units, generator=source)
    return Network(made, parameters)


def dense_along(network: Network, inputs: torch.Tensor) -> torch.Tensor:
    """The Jacobians of the whole state along the inputs (sequences, steps, 1), (sequences, steps, units, units)."""
    cell, weights = network.cell, network.prepare(torch.float64)
    state = cell.initial_state(1, len(inputs), inputs)
    steps = []
    for step in range(inputs.shape[1]):
        state, blocks = cell.linearise(weights, cell.drive(weights, inputs[None, :, step]), state)
        steps.append(dense_jacobian(blocks, cell.parts)[0])
    return torch.stack(steps, dim=1)


def least(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The least CPU seconds of each of several runs that take turns, after one that warms up."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(TURNS + 1):
        for name, run in runs.items():
            start = time.process_time()
            run()
            if turn:
                taken[name].append(time.process_time() - start)
    return {name: min(seconds) for name, seconds in taken.items()}


def table() -> Table:
    """Microseconds a step and sequence, cell by cell and size by size."""
    made = Table(
        "Sparse networks",
        "Microseconds of CPU a step and sequence; in brackets how many times ours.",
        ("cell, units", "ours", "the same, dense", "checked"),
    )
    for cell, sizes in SIZES.items():
        for units in sizes:
            network = drawn(cell, units)
            shape = (15, 64) if units < 256 else (1, 64)
            inputs = torch.randn(*shape, 1, generator=generator(units, "test"), dtype=torch.float64)
            dense = dense_along(network, inputs)
            runs: dict[str, Callable[[], object]] = {
                "ours": lambda network=network, given=inputs: lyapunov_spectrum(network, given, check=False),  # type: ignore[misc]
                "dense": lambda dense=dense: lyapunov_spectrum(dense, check=False),  # type: ignore[misc]
                "checked": lambda network=network, given=inputs: lyapunov_spectrum(network, given),  # type: ignore[misc]
            }
            taken = {name: seconds / inputs[..., 0].numel() * 1e6 for name, seconds in least(runs).items()}
            texts = [f"{number(each)} ({number(each / taken['ours'])}x)" for each in taken.values()]
            made.rows.append((f"{cell}, {units}; {counted(shape[0], 'sequence')}", *texts))
    return made


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print(page.describe_machine("numba"), flush=True)
    with on_threads(1):
        Console(width=120).print(table().markdown(), soft_wrap=True)


if __name__ == "__main__":
    main()
