"""Estimates for training by gradient that need no pack: sizes, the fastest way, seconds of an epoch."""

import math
from dataclasses import replace

import torch

from aelle_core.cells import Cell
from aelle_core.tasks import Supervised
from aelle_core.training.trainer import Timing, Trainer
from aelle_core.training.way_timings import WayTimings, Workload


def size_of(cell: Cell, task: Supervised) -> tuple[int, int]:
    """Return how many numbers one network trains, and how many bytes its checkpoint takes."""
    shapes = [*cell.parameter_shapes().values(), (task.outputs, cell.units), (task.outputs,)]
    count = sum(math.prod(shape) for shape in shapes)
    return count, 12 * count  # float32 weights and Adam's two moments


def measured_fastest_way(
    trainer: type[Trainer], cell: Cell, task: Supervised, batch_size: int, networks: int, device: torch.device
) -> tuple[str, int]:
    """Return the fastest way for a pack on this machine, and how many of its networks compute at once."""
    return WayTimings(trainer).chosen(Workload.of(cell, task, batch_size, networks, device))


def measured_epochs(
    trainer: type[Trainer],
    cell: Cell,
    task: Supervised,
    batch_size: int,
    networks: int,
    device: torch.device,
    *,
    anew: bool,
) -> dict[str, Timing]:
    """Return how long an epoch with its validation takes in each way: from the cache, or measured where it is not
    cached or `anew` is set."""
    timings, workload = WayTimings(trainer), Workload.of(cell, task, batch_size, networks, device)
    kept = None if anew else timings.read(workload)
    per_batch = kept or timings.measure(workload, say=lambda sentence: None)
    own = task.examples_per_network
    validation = len(task.splits.validation) / (3 * own)  # a forward pass is about a third of a training step
    batches = math.ceil(own / batch_size) * (1 + validation)
    return {way: replace(timing, seconds=timing.seconds * batches) for way, timing in per_batch.items()}
