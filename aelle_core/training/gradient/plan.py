"""What can be told of training by gradient before a pack is trained: what is drawn, ways, times, memory, sizes."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar

import torch

from aelle_core.cells import Cell
from aelle_core.cells.initialisers import initialisers
from aelle_core.foundation.ranges import Choice, Range, WholeRange
from aelle_core.tasks import Classification
from aelle_core.training.memory import network_bytes
from aelle_core.training.trainer import Timing, Trainer
from aelle_core.training.ways import available_ways, check_way


class GradientPlan(Trainer):
    """The half of PackTrainer that needs no pack."""

    ranges: ClassVar[Mapping[str, Range]] = {"learning_rate": Range(2e-3, 1e-2), "clip": Range(1.0, 1.0)}
    optional: ClassVar[Mapping[str, Callable[[object], Range | Choice]]] = {
        "initialiser": lambda value: Choice.parse(value, "initialiser", list(initialisers)),
        "truncation": WholeRange.parse,
    }

    @classmethod
    def size(cls, cell: Cell, task: Classification) -> tuple[int, int]:  # type: ignore[override]
        shapes = [*cell.parameter_shapes().values(), (task.classes, cell.units), (task.classes,)]
        count = sum(math.prod(shape) for shape in shapes)
        return count, 12 * count  # float32 weights and Adam's two moments

    @classmethod
    def ways(cls, cell: Cell, device: torch.device) -> list[str]:
        return available_ways(cell, device, rounded=True)

    @classmethod
    def check_way(cls, name: str, cell: Cell, device: torch.device) -> None:
        check_way(name, cell, device)

    @classmethod
    def fastest_way(
        cls,
        cell: Cell,
        task: Classification,  # type: ignore[override]
        batch_size: int,
        networks: int,
        device: torch.device,
    ) -> tuple[str, int]:
        from aelle_core.training.way_timings import WayTimings, Workload  # which times packs of this trainer

        return WayTimings().chosen(Workload.of(cell, task, batch_size, networks, device))

    @classmethod
    def epoch_timings(
        cls,
        cell: Cell,
        task: Classification,  # type: ignore[override]
        batch_size: int,
        networks: int,
        device: torch.device,
        *,
        anew: bool = False,
    ) -> dict[str, Timing]:
        from aelle_core.training.way_timings import WayTimings, Workload

        timings, workload = WayTimings(), Workload.of(cell, task, batch_size, networks, device)
        found = (None if anew else timings.read(workload)) or timings.measure(workload, say=lambda sentence: None)
        own = task.examples_per_network
        validation = len(task.splits.validation) / (3 * own)  # a forward pass is about a third of a training step
        batches = math.ceil(own / batch_size) * (1 + validation)
        return {way: replace(timing, seconds=timing.seconds * batches) for way, timing in found.items()}

    @classmethod
    def network_bytes(cls, cell: Cell, task: Classification, batch_size: int) -> int:  # type: ignore[override]
        return network_bytes(cell, task, batch_size)
