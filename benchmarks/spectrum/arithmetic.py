"""What coarser products do to where networks end: python -m benchmarks.spectrum.arithmetic

The same networks of the preset digits are trained in float32, in every rounded way that the device has, and in float32
by another way, whose sums are only in another order: a rounding error grows in training, so that even the last bit
moves a loss. What a rounded way does beyond that is its own. Writes docs/benchmarks/arithmetic.md.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from scipy import stats

from aelle_core.cells import get_cell
from aelle_core.study import Study, cohorts, get_preset
from aelle_core.tasks import get_task
from aelle_core.training import available_ways, trainers
from aelle_core.training.way_timings import REFERENCE
from benchmarks.shared import page
from benchmarks.shared.tables import Table
from benchmarks.shared.timing import on_threads

PAGE = Path("docs/benchmarks/arithmetic.md")
INTRODUCTION = """# What coarser products do to where networks end

Ways that round products more coarsely than float32 are never chosen: they are asked for, as in `--way bfloat16`. Here
the same networks, from the same weights and in the same order of examples, are trained in float32 (`packed`) and in
another way; what is compared is the final validation loss, pair by pair. `{control}` is float32, too,
with its sums in another order: what stands in its rows is what rounding in the last bit comes to over {epochs} epochs.

Made by `{command}` (seed {seed}). {machine}.
"""


@dataclass(frozen=True)
class Pairs:
    """Final validation losses in nats of the same networks in float32 and in another way, where both ended."""

    cell: str
    way: str
    exact: np.ndarray
    other: np.ndarray

    def row(self, threshold: float) -> tuple[str, ...]:
        both = np.isfinite(self.exact) & np.isfinite(self.other)
        apart = np.log(self.other[both] / self.exact[both])
        interval = stats.ttest_1samp(apart, 0.0).confidence_interval(0.95)
        sides = (self.exact < threshold) != (self.other < threshold)
        return (
            self.cell,
            self.way,
            str(len(apart)),
            f"{np.median(self.exact[both]):.3f}",
            f"{apart.mean():+.4f} ({interval.low:+.4f} to {interval.high:+.4f})",
            f"{apart.std(ddof=1):.4f}",
            f"{sides.sum()} of {len(sides)}",
        )


def final_losses(study: Study, cell: str, way: str, device: str) -> np.ndarray:
    """Validation losses (networks,) of a study's networks of one cell after its last epoch, infinite where a network
    diverged."""
    task = get_task(study.task, seed=study.seed, options=study.task_options)
    losses = []
    for cohort in (candidate for candidate in cohorts(study) if candidate.cell == cell):
        for pack in cohort.packs:
            settings = [variant.settings for variant in pack.variants]
            recurrent = get_cell(cell, task.input_size, pack.units)
            trainer = trainers[task.trainer](
                recurrent, task, settings, batch_size=study.batch_size, device=device, way=way
            )
            *_, last = trainer.run(study.epochs)
            losses.append(torch.where(last.alive, last.validation_loss, torch.inf))
    return torch.cat(losses).double().numpy()


def measure(study: Study, device: str) -> list[Pairs]:
    task, torch_device = get_task(study.task), torch.device(device)
    pairs = []
    for name in track(study.cells, description="cells", console=Console(stderr=True)):
        cell = get_cell(name, task.input_size, study.units[0])
        exact, every = (available_ways(cell, torch_device, rounded=rounded) for rounded in (False, True))
        control = [way for way in exact if way != REFERENCE][:1]
        reference = final_losses(study, name, REFERENCE, device)
        for way in [*control, *(way for way in every if way not in exact)]:
            pairs.append(Pairs(name, way, reference, final_losses(study, name, way, device)))
    return pairs


def table_of(pairs: list[Pairs], threshold: float) -> Table:
    table = Table(
        "The same networks in float32 and in another way",
        "*Loss*: the median final validation loss in float32, nats. *Difference*: the logarithm of the other way's "
        "loss over float32's (0.01 is one per cent), mean with its 95 % interval (Student's t, networks as samples). "
        "*Spread*: standard deviation of the "
        f"differences. *Sides*: networks that end well (below {threshold:.3f}, all networks' median) in one way alone.",
        ("cell", "way", "networks", "loss", "difference", "spread", "sides"),
    )
    table.rows += [pair.row(threshold) for pair in pairs]
    ways = dict.fromkeys(pair.way for pair in pairs)
    for way in ways:
        own = [pair for pair in pairs if pair.way == way]
        exact, other = (np.concatenate([getattr(pair, name) for pair in own]) for name in ("exact", "other"))
        table.rows.append(Pairs("all", way, exact, other).row(threshold))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spectrum.arithmetic", description=__doc__)
    parser.add_argument("--networks", type=int, default=32, help="of each cell")
    parser.add_argument("--epochs", type=int, help="instead of the preset's")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, default=PAGE)
    options = parser.parse_args()
    study = get_preset("digits")
    study = study.replace(networks=options.networks, epochs=options.epochs or study.epochs)
    with on_threads(1):
        pairs = measure(study, options.device)
    threshold = float(np.median(np.concatenate([pair.exact for pair in {pair.cell: pair for pair in pairs}.values()])))
    table = table_of(pairs, threshold)
    Console(width=200).print(table.rich())
    changed = [f"--networks {options.networks}"] if options.networks != parser.get_default("networks") else []
    changed += [f"--epochs {options.epochs}"] if options.epochs else []
    changed += [f"--device {options.device}"] if options.device != "cpu" else []
    introduction = INTRODUCTION.format(
        command=" ".join(["python -m benchmarks.spectrum.arithmetic", *changed]),
        control=pairs[0].way,
        epochs=study.epochs,
        seed=study.seed,
        machine=page.describe_machine(),
    )
    page.write(options.output, introduction, [table])


if __name__ == "__main__":
    main()
