"""Which way is the fastest for a pack on this machine: measured once, kept in the user's cache."""

import hashlib
import importlib.util
import itertools
import json
import math
import platform
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from aelle_core.cells import Cell, get_cell
from aelle_core.files.atomic import write_atomically
from aelle_core.foundation.random_streams import generator
from aelle_core.tasks import Examples, Splits, Supervised, losses
from aelle_core.training.memory import network_bytes, networks_at_once
from aelle_core.training.trainer import NetworkSettings, Timing, Trainer
from aelle_core.training.ways import Readout, available_ways

REFERENCE = "packed"
_GAIN = 1.1  # how much faster another way must be to be preferred to the reference
_ROUNDS = 4  # mini-batches timed for each way, after one that warms up; the fastest counts
_AT_ONCE = 4  # so many networks are tried besides the whole pack: what they keep stays in the processor's cache
_PARAMETERS = 2**20  # of the networks timed together on a CPU: more of them take as many times as long
_SILENT_SECONDS = 1.0


@dataclass(frozen=True)
class Workload:
    """What the speed of a way depends on: the shape of a mini-batch, where it runs and on how many threads."""

    cell: str
    units: int
    features: int
    steps: int
    one_hot: bool
    readout: Readout
    outputs: int
    loss: str
    ragged: bool
    batch_size: int
    networks: int
    device: str
    threads: int

    @classmethod
    def of(cls, cell: Cell, task: Supervised, batch_size: int, networks: int, device: torch.device) -> "Workload":
        """Return the workload of a pack of `networks` on `task`, in a process with torch's present number of
        threads."""
        return cls(
            cell.name,
            cell.units,
            task.input_size,
            task.steps,
            task.splits.training.one_hot,
            task.read_out_after,
            task.outputs,
            task.loss,
            task.ragged,
            min(batch_size, task.examples_per_network),
            networks,
            str(device),
            torch.get_num_threads(),
        )

    @property
    def torch_device(self) -> torch.device:
        """Its device."""
        return torch.device(self.device)

    @property
    def timed(self) -> int:
        """How many of the networks are timed together."""
        if self.torch_device.type != "cpu":
            return self.networks
        parameters = sum(math.prod(shape) for shape in self.recurrent().parameter_shapes().values())
        return min(self.networks, max(_AT_ONCE, math.ceil(_PARAMETERS / parameters)))

    def recurrent(self) -> Cell:
        """Return its cell."""
        return get_cell(self.cell, self.features, self.units)

    def ways(self) -> list[str]:
        """Return the names of the ways that give the reference's numbers for it."""
        return available_ways(self.recurrent(), self.torch_device, losses[self.loss])

    def fits(self) -> bool:
        """Return whether free memory has room for all networks that are timed."""
        bytes_each = network_bytes(self.recurrent(), _RandomTask(self), self.batch_size)
        return networks_at_once(bytes_each, self.torch_device) >= self.timed


class WayTimings:
    """How fast the ways are: a small JSON file for each workload, in a directory for each kind of machine (processor,
    GPU) and version of what computes there. Without platformdirs and llvmlite (a GPU box, say) nothing is kept.
    `trainer` is the class whose packs are timed."""

    def __init__(self, trainer: type[Trainer], directory: Path | None = None) -> None:
        self._trainer = trainer
        if importlib.util.find_spec("platformdirs") and importlib.util.find_spec("llvmlite"):
            from platformdirs import user_cache_path

            directory = directory or user_cache_path("aelle") / "ways"
        self.directory = directory

    def _path(self, workload: Workload, directory: Path) -> Path:
        from llvmlite.binding import get_host_cpu_name

        versions = "-".join(f"{name}{version(name)}" for name in ("aelle", "torch", "llvmlite"))
        machine = f"{platform.machine()}-{get_host_cpu_name()}-{versions}"
        if workload.device != "cpu":
            machine += f"-{torch.cuda.get_device_name(workload.device)}".replace(" ", "_")
        digest = hashlib.sha256(json.dumps(asdict(workload), sort_keys=True).encode()).hexdigest()[:16]
        return directory / machine / f"{workload.cell}-{workload.units}-{digest}.json"

    def read(self, workload: Workload) -> dict[str, Timing] | None:
        """Return what was measured on this kind of machine, or None: never, the file is broken, or the ways are
        others now."""
        if self.directory is None:
            return None
        try:
            held = json.loads(self._path(workload, self.directory).read_text())
            timings = {str(way): Timing(**timing) for way, timing in held["timings"].items()}
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            return None
        return timings if set(timings) == set(workload.ways()) else None

    def measure(self, workload: Workload, say: Callable[[str], object] | None = None) -> dict[str, Timing]:
        """Time every way on random data of the workload's shape and cache the result, unless other programs' use of
        memory has distorted it.

        A cache that cannot be written costs another measurement next time, nothing else.
        """
        timings = time_ways(self._trainer, workload, say or _say)
        if self.directory is None or not workload.fits():
            return timings
        held = {way: asdict(timing) for way, timing in timings.items()}
        content = json.dumps({"workload": asdict(workload), "timings": held}, indent=2)
        try:
            write_atomically(self._path(workload, self.directory), lambda temporary: temporary.write_text(content))
        except OSError as error:
            (say or _say)(f"the times of the ways cannot be kept in {str(self.directory)!r}: {error}")
        return timings

    def chosen(self, workload: Workload) -> tuple[str, int]:
        """Return the way to train with and how many networks at once: measured before, or now."""
        timings = self.read(workload) or self.measure(workload)
        way = fastest(timings)
        return way, timings[way].networks_at_once


def fastest(timings: Mapping[str, Timing]) -> str:
    """Return the reference, unless another way is at least a tenth faster: the same numbers on as many machines as can
    be."""
    best = min(timings, key=lambda way: timings[way].seconds)
    return best if timings[best].seconds * _GAIN <= timings[REFERENCE].seconds else REFERENCE


def time_ways(trainer: type[Trainer], workload: Workload, say: Callable[[str], object]) -> dict[str, Timing]:
    """Return every way's time for a mini-batch of `trainer`: forward, backward and the optimiser's step."""
    cell, device, networks = workload.recurrent(), workload.torch_device, workload.timed
    settings = [NetworkSettings(seed, 0.1, 1e-3) for seed in range(networks)]
    task = _RandomTask(workload)
    started, silent = time.perf_counter(), True
    packs: dict[str, Any] = {}
    times: dict[tuple[str, int], list[float]] = {}
    for name in workload.ways():
        packs[name] = trainer(cell, task, settings, batch_size=workload.batch_size, device=device, way=name)
    fitting = min(pack.networks_at_once for pack in packs.values())
    for round_ in range(_ROUNDS + 1):
        # In turn, so that all see the same neighbours.
        for name, at_once in itertools.product(packs, sorted({min(_AT_ONCE, fitting), fitting})):
            pack = packs[name]
            pack.networks_at_once = at_once
            if silent and time.perf_counter() - started > _SILENT_SECONDS:
                say(f"measuring ways to train {workload.cell} {workload.units} on {workload.device}, once")
                silent = False
            begun = time.perf_counter()
            pack.train_epoch().sum().item()  # .item() waits for a device
            if round_:
                times.setdefault((name, at_once), []).append(time.perf_counter() - begun)
    timings: dict[str, Timing] = {}
    for (name, at_once), seconds in times.items():
        timing = Timing(min(seconds) / networks, at_once)
        if name not in timings or timing.seconds < timings[name].seconds:
            timings[name] = timing
    return timings


def _say(sentence: str) -> None:
    print(f"aelle: {sentence}", file=sys.stderr, flush=True)


class _RandomTask(Supervised):
    """One mini-batch of noise in the shape of a workload."""

    name = "random"

    def __init__(self, workload: Workload) -> None:
        super().__init__()
        self._workload = workload
        self.loss, self.readout, self.ragged = workload.loss, workload.readout, workload.ragged

    @property
    def outputs(self) -> int:
        return self._workload.outputs

    @property
    def input_size(self) -> int:
        return self._workload.features

    @property
    def steps(self) -> int:
        return self._workload.steps

    def load(self) -> Splits:
        source, count = generator(0, "random task"), self._workload.batch_size
        if self._workload.one_hot:
            inputs = torch.randint(0, self.input_size, (count, self.steps), generator=source)
        else:
            inputs = torch.rand(count, self.steps, self.input_size, generator=source)
        shape = (count, self.steps) if self.readout == "every" else (count,)
        if self.loss_kind.classes:
            targets = torch.randint(0, self.outputs, shape, generator=source)
        else:
            targets = torch.rand(*shape, self.outputs, generator=source)
        lengths = torch.randint(1, self.steps + 1, (count,), generator=source) if self.ragged else None
        examples = Examples(inputs, targets, lengths)
        return Splits(examples, examples, examples)
