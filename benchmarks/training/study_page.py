"""The table of a study on one device: seconds by cell, and how far they are from the floor."""

import datetime
import platform
from collections.abc import Sequence

import numpy as np
import torch

from aelle_core.study import RunDirectory, Study
from aelle_core.tasks import Task
from benchmarks.shared.tables import DASH, Table, number
from benchmarks.training.shapes import Shape
from benchmarks.training.study_records import Records


def table_of(study: Study, task: Task, run: RunDirectory, records: Records, rate: float) -> Table:
    """A row for each cell, and one for all. `rate` is of float32 products, operations per second."""
    images = len(task.splits.training)
    batches = study.epochs * images / study.batch_size
    table = Table(
        f"{study.name}: {study.networks} networks of each cell, {study.epochs} epochs",
        f"N = {study.units[0]}, {images:,} training images in batches of {study.batch_size}, {task.steps} steps, "
        f"{len(task.splits.validation):,} validation images, {study.spectrum_sequences} sequences a spectrum, spectra "
        "before training and after every epoch. *Training* includes the evaluations. *Floor*: the "
        "operations of training's matrix products, forward and backward, over the best rate of a float32 product "
        f"measured here, {number(rate / 1e12)} · 10¹² operations/s; evaluation is not in it. *Share*: floor over "
        "training. Seconds are of the packs that one run trained from start to end. *Kernels* and the host's "
        "*launches* are of one mini-batch. *What dominates* is the largest share of a mini-batch's time: of the GPU's, "
        "where waiting counts; on a CPU of the operators' own.",
        (
            "cell, way",
            "networks stored",
            "timed",
            "training, s",
            "spectra, s",
            "rest, s",
            "s a network",
            "floor, s",
            "share",
            "kernels",
            "launches",
            "what dominates",
        ),
    )
    stored = stored_networks(study, run)
    totals = np.zeros(5)
    timed_in_all = 0
    for cell in study.cells:
        packs, start = records.of(cell), records.starts.get(cell)
        timed = sum(record.networks for record in packs)
        timed_in_all += timed
        shape = Shape(cell, study.units[0], task.steps, study.batch_size, task.input_size)
        training, spectra = (sum(getattr(record, name) for record in packs) for name in ("training", "spectra"))
        whole = sum(record.seconds for record in packs)
        floor = timed * batches * shape.operations / rate
        numbers = np.array([training, spectra, whole - training - spectra, whole, floor])
        totals += numbers
        counts = (None, None) if start is None else (start.profile.kernels, start.profile.launches)
        table.rows.append(
            (
                cell if start is None else f"{cell}, {start.way}",
                f"{stored.get(cell, 0):,}",
                f"{timed:,}",
                *_fields(numbers, timed),
                *(DASH if count is None else f"{count:,.0f}" for count in counts),
                DASH if start is None else start.profile.dominant,
            )
        )
    table.rows.append(
        ("all", f"{sum(stored.values()):,}", f"{timed_in_all:,}", *_fields(totals, timed_in_all), DASH, DASH, DASH)
    )
    return table


def _fields(numbers: np.ndarray, timed: int) -> list[str]:
    """Training, spectra, rest, seconds a network, floor and share."""
    if not timed:
        return [DASH] * 6
    training, spectra, rest, whole, floor = numbers
    shown = [number(value) for value in (training, spectra, rest, whole / timed, floor)]
    return [*shown, f"{floor / training:.1%}"]


def stored_networks(study: Study, run: RunDirectory) -> dict[str, int]:
    """Networks of each cell whose last epoch is in the dataset."""
    rows = run.store.read(study=study.identity, epoch=study.epochs, columns=["cell"])
    return {count["values"]: count["counts"] for count in rows["cell"].value_counts().to_pylist()}


def page(table: Table, device: str, command: str, records: Records, left_out: Sequence[str]) -> str:
    """The page, in Markdown."""
    seconds = sum(record.seconds for record in records.packs)
    lines = [
        "# A whole study on one device",
        "",
        f"Measured by `{command}` on {datetime.date.today().isoformat()}: {device}; torch {torch.__version__}, numpy "
        f"{np.__version__}, Python {platform.python_version()}. Packs took {seconds / 60:.1f} minutes in all. "
        + (f"Left out, as the time was over: {', '.join(left_out)}." if left_out else "No pack was left out."),
        "",
        table.markdown(),
        "",
    ]
    return "\n".join(lines)
