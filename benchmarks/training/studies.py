"""What a whole study costs against its size: digits, one epoch, all in one process."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from aelle_core.cells import get_cell
from aelle_core.study import RunDirectory, Study, cohorts, get_preset, run_study
from aelle_core.tasks import get_task
from aelle_core.training import PackTrainer
from aelle_core.training.way_timings import WayTimings, Workload
from benchmarks.shared.tables import Table, number
from benchmarks.shared.timing import on_threads, seconds
from benchmarks.training import one_by_one
from benchmarks.training.shapes import Shape


@dataclass(frozen=True)
class Cost:
    """Seconds of a study of so many networks, and whether they were measured or follow from smaller ones."""

    networks: int
    seconds: float
    measured: bool


def measure_studies(sizes: Sequence[int], beyond: Sequence[int]) -> list[Cost]:
    """Studies of `sizes` networks are run, one thread; the cost of those `beyond` is the line through the last two
    measured, or proportional to the only one. The smallest runs once before, for what a process compiles once."""
    preset = get_preset("digits")
    studies = [preset.replace(name="cost", networks=size // len(preset.cells), epochs=1) for size in sizes]
    with on_threads(1):
        _seconds_of(studies[0])
        costs = [Cost(study.total_networks, _seconds_of(study), True) for study in studies]
    last = costs[-1]
    before = costs[-2] if len(costs) > 1 else Cost(0, 0.0, True)
    slope = (last.seconds - before.seconds) / (last.networks - before.networks)
    return [*costs, *(Cost(size, last.seconds + slope * (size - last.networks), False) for size in beyond)]


def _seconds_of(study: Study) -> float:
    _choose_ways(study)
    with tempfile.TemporaryDirectory() as folder:
        return seconds(lambda: run_study(study, RunDirectory(Path(folder) / "run")))


def _choose_ways(study: Study) -> None:
    """What a study does once on a machine and keeps: not part of its cost."""
    task = get_task(study.task, options=study.task_options)
    for pack in (pack for cohort in cohorts(study) for pack in cohort.packs):
        cell = get_cell(pack.cell, task.input_size, pack.units)
        size = len(pack.variants)
        WayTimings(PackTrainer).chosen(Workload.of(cell, task, study.batch_size, size, torch.device("cpu")))


def seconds_alone() -> float:
    """Seconds of one epoch of the digits for one network of each cell, one after the other, in the better one-by-one
    way: training alone, neither evaluation nor spectra."""
    preset = get_preset("digits")
    task = get_task(preset.task, options=preset.task_options)
    examples = task.splits.training
    total = 0.0
    with on_threads(1):
        for cell in preset.cells:
            shape = Shape(cell, preset.units[0], task.steps, preset.batch_size, task.input_size)
            best = float("inf")
            for way in one_by_one.ALONE:
                network = one_by_one.alone(shape, way)
                order = torch.randperm(len(examples))
                network.train(examples.inputs, examples.targets, order[: preset.batch_size], preset.batch_size)
                took = seconds(
                    lambda network=network, order=order: network.train(  # type: ignore[misc]
                        examples.inputs, examples.targets, order, preset.batch_size
                    )
                )
                best = min(best, took)
            total += best
    return total


def studies_table(costs: Sequence[Cost], alone: float) -> Table:
    preset = get_preset("digits")
    cells = len(preset.cells)
    table = Table(
        "What a whole study costs, one thread",
        f"The preset digits ({cells} cells, N = {preset.units[0]}) with one epoch and so many networks in all, packs "
        f"of up to {preset.pack_size}: reading, two evaluations, two times spectra, checkpoints and dataset included; "
        "the ways of training were chosen, and what a process compiles was compiled, before. *One by one*: the "
        "training alone, the better way of one network of each cell, measured once and multiplied.",
        ("networks", "seconds", "ms a network", "measured", "training one by one, s"),
    )
    for cost in costs:
        table.rows.append(
            (
                f"{cost.networks:,}",
                number(cost.seconds),
                number(1e3 * cost.seconds / cost.networks),
                "yes" if cost.measured else "no: line through the last measured",
                number(alone / cells * cost.networks),
            )
        )
    return table
