"""torch.compile as a way to train one network: what compiling takes, and what a mini-batch takes then.

    python -m benchmarks.training.torch_compile                 # some minutes on one core; needs a C++ compiler

The tuned loop of a cell, with its model compiled by torch.compile and as it is, beside a pack of ours; one thread, on
row-wise sequential MNIST's shape (N = 64, 128 sequences of 28 steps of 28 features). The ways take turns.
"""

import argparse
import time
from typing import cast

import torch
from rich.console import Console
from torch import nn

from benchmarks.shared import page
from benchmarks.shared.tables import Table, number, spread
from benchmarks.shared.timing import Spread, Way, on_threads, ratio, take_turns
from benchmarks.training import one_by_one
from benchmarks.training.measure import Pack, way_alone, way_of_ours
from benchmarks.training.shapes import RandomSequences, Shape

CELLS = ("gru", "lem", "cornn")
BATCHES, BUDGET = 4, 20.0
COMPILED, OURS = "torch.compile", Pack("compiled", 64)


def compiled(shape: Shape) -> tuple[Way, float]:
    """The tuned loop with its model compiled, and the seconds that its first mini-batches took."""
    network = one_by_one.alone(shape, one_by_one.TUNED)
    loop = one_by_one.model(shape, tuned=True, loop=True)
    network = type(network)(loop, learning_rate=one_by_one.LEARNING_RATE, fused=True)
    network.model = cast(nn.Module, torch.compile(loop))
    examples = RandomSequences(shape, BATCHES).splits.training

    def run() -> None:
        network.train(examples.inputs, examples.targets, torch.randperm(len(examples)), shape.batch)

    start = time.perf_counter()
    run()
    return Way(COMPILED, run, BATCHES), time.perf_counter() - start


def table() -> Table:
    """Milliseconds per network and mini-batch, cell by cell."""
    made = Table(
        "torch.compile",
        "Milliseconds per network and mini-batch, the median of the turns, least..largest in brackets; compiling once.",
        ("cell", "compiling, s", "torch.compile", "tuned", "ours", "torch.compile / ours"),
    )
    for cell in CELLS:
        shape = Shape(cell)
        with on_threads(1):
            way, seconds = compiled(shape)
            ways = [way, way_alone(shape, one_by_one.TUNED), way_of_ours(shape, OURS)]
            taken = take_turns(ways, BUDGET, 3)
        texts = [
            spread(Spread.of([value / 1e3 for value in taken[name]]))
            for name in (COMPILED, one_by_one.TUNED, str(OURS))
        ]
        gain = ratio(taken[COMPILED], taken[str(OURS)])
        made.rows.append((cell, number(seconds), *texts, f"{number(gain.median)}x"))
    return made


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print(page.describe_machine("numba"), flush=True)
    Console(width=160).print(table().markdown(), soft_wrap=True)


if __name__ == "__main__":
    main()
