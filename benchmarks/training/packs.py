"""Our packs, by every way that the engine has."""

import torch

from aelle_core.cells import get_cell
from aelle_core.training import PackTrainer
from aelle_core.training.way_timings import REFERENCE, Workload, fastest, time_ways
from aelle_core.training.ways import available_ways
from benchmarks.shared.timing import on_threads
from benchmarks.training.shapes import RandomSequences, Shape, settings_of


def ways_of(shape: Shape, device: torch.device | str = "cpu") -> tuple[str, ...]:
    """The ways that can train this cell there; the first is the one that all others are held against."""
    cell = get_cell(shape.cell, shape.features, shape.units)
    return tuple(sorted(available_ways(cell, torch.device(device)), key=lambda name: name != REFERENCE))


def pack(shape: Shape, networks: int, batches: int, way: str, device: torch.device | str = "cpu") -> PackTrainer:
    """So many networks on so many mini-batches of random sequences."""
    cell = get_cell(shape.cell, shape.features, shape.units)
    task = RandomSequences(shape, batches)
    return PackTrainer(cell, task, settings_of(networks, shape.units), batch_size=shape.batch, device=device, way=way)


def chosen(shape: Shape, networks: int) -> str:
    """The way that the engine picks for such a pack on one thread, by its own measurement; nothing is kept of it."""
    trainer = pack(shape, networks, 1, REFERENCE)
    with on_threads(1):
        workload = Workload.of(trainer.cell, trainer.task, shape.batch, networks, trainer.device)
        return fastest(time_ways(PackTrainer, workload, lambda sentence: None))
