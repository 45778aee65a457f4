"""`make bench`: training packs of networks beside the ways that frameworks offer, in one run on one machine.

Tables and a verdict to the terminal and to docs/benchmarks/training.md, a picture beside to training-speed.{png,svg},
progress to stderr. Under ten minutes on two cores; `--quick` takes less than a minute, and writes nothing.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.shared import page
from benchmarks.shared.progress import progress_of, statement
from benchmarks.spectrum.cases import SEED
from benchmarks.training import speed_picture
from benchmarks.training.plan import FULL, QUICK
from benchmarks.training.run import Run

DOCS = Path("docs/benchmarks")
MOST_SECONDS = 540.0  # after so many nothing new is begun
INTRODUCTION = """# Training many networks: packs against one by one

Every speed claim about training, made by one command in one run: `{command}` (seed {seed}). Peers stand beside us:
one network at a time, as scripts train them, and ensembles by torch.func. Before any clock starts, every peer is held
to our losses over several steps, from the same weights and under the same noise, so that all do the same work. The
ways take turns, A B C A B C, and ratios are made turn by turn, so that a machine that drifts cancels out; the spread is
the least and the largest turn.

{machine}. {timing}.

{verdicts}
"""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less than a minute, few cells, writes nothing")
    parser.add_argument("--output", type=Path, help="folder for the page and the picture (default: docs/benchmarks)")
    options = parser.parse_args(arguments)
    plan = QUICK if options.quick else FULL
    folder = options.output or (None if options.quick else DOCS)

    start = time.perf_counter()
    machine = page.describe_machine("numba")
    with progress_of(plan.total) as steps:
        measured = Run(plan, steps, start + MOST_SECONDS).measure()
    timing = statement(time.perf_counter() - start, measured.seconds, measured.left_out)
    console = Console(width=None if Console().is_terminal else 200)
    for table in measured.tables:
        console.print(table.rich())
        console.print()
    for line in (*measured.verdicts, timing):
        console.print(line)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        speed_picture.draw(folder, measured.cells, measured.by_networks, measured.by_units, measured.by_steps)
        introduction = INTRODUCTION.format(
            command="make bench" if folder == DOCS else "python -m benchmarks.training",
            seed=SEED,
            machine=machine,
            timing=timing,
            verdicts="\n\n".join(measured.verdicts),
        )
        page.write(folder / "training.md", introduction, measured.tables)
        console.print(f"Written: {folder / 'training.md'}, {folder / 'training-speed.png'} and .svg")


if __name__ == "__main__":
    main()
