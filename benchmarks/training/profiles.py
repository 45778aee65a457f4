"""What a mini-batch of a pack spends its time on, by torch's profiler."""

import re
from collections import Counter
from dataclasses import dataclass

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks.shared.device import synchronise
from benchmarks.shared.timing import seconds
from benchmarks.training import packs
from benchmarks.training.shapes import Shape

WAITING = "waiting for launches"
_GROUPS = (
    ("matrix products", re.compile(r"gemm|gemv|cutlass|xmma|magma|nvjet|splitk|bmm|addmm|::mm$", re.IGNORECASE)),
    ("reductions", re.compile(r"reduce|::sum|norm|softmax", re.IGNORECASE)),
    ("copies", re.compile(r"memcpy|memset|copy|gather|scatter|index|catarray|::cat|::stack|fill|zero", re.IGNORECASE)),
)
_REST = "pointwise"
_LAUNCHES = re.compile(r"cu(da)?(Launch|GraphLaunch)")
_BATCHES = 4


@dataclass(frozen=True)
class Profile:
    """Of a pack: seconds of a mini-batch; seconds of evaluating one image with all networks; kernels run and calls
    that launched them in a mini-batch, both None on a CPU; and shares of the time: of a mini-batch's seconds on a
    GPU, where `waiting` is what no kernel fills, and of all operators' own time on a CPU."""

    batch_seconds: float
    image_seconds: float
    kernels: float | None
    launches: float | None
    shares: dict[str, float]

    @property
    def dominant(self) -> str:
        """The largest share, in words."""
        name = max(self.shares, key=lambda part: self.shares[part])
        return f"{name} {self.shares[name]:.0%}"


def group_of(name: str) -> str:
    """The kind of work that a kernel or operator of this name does."""
    return next((group for group, pattern in _GROUPS if pattern.search(name)), _REST)


def profile_pack(shape: Shape, networks: int, device: torch.device, way: str, at_once: int | None) -> Profile:
    """Trained on random sequences of the shape, `at_once` networks together (None: all that fit), after a first
    epoch that compiles and fills what is lazy."""
    trainer = packs.pack(shape, networks, _BATCHES, way, device)
    trainer.networks_at_once = min(at_once or networks, trainer.networks_at_once)
    examples = trainer.task.splits.training

    def epoch() -> None:
        trainer.train_epoch()
        synchronise(device)

    epoch()
    batch_seconds = seconds(epoch) / _BATCHES
    trainer.evaluate(examples)
    image_seconds = seconds(lambda: trainer.evaluate(examples)) / len(examples)
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as profiler:
        epoch()
    if not on_gpu:
        own = Counter[str]()
        for event in profiler.key_averages():
            own[group_of(event.key)] += event.self_cpu_time_total
        return Profile(batch_seconds, image_seconds, None, None, _normalised(own))
    return Profile(batch_seconds, image_seconds, *_on_gpu(profiler, batch_seconds))


def _on_gpu(profiler: profile, batch_seconds: float) -> tuple[float, float, dict[str, float]]:
    """Kernels and launching calls per mini-batch, and shares of its seconds as they are without the profiler."""
    busy = Counter[str]()
    kernels = launches = 0
    for event in profiler.events() or ():
        if event.device_type == DeviceType.CUDA:
            kernels += 1
            busy[group_of(event.name)] += event.time_range.elapsed_us()
        elif _LAUNCHES.match(event.name):
            launches += 1
    shares = {name: taken / 1e6 / _BATCHES / batch_seconds for name, taken in busy.items()}
    shares[WAITING] = max(0.0, 1.0 - sum(shares.values()))
    return kernels / _BATCHES, launches / _BATCHES, shares


def _normalised(taken: "Counter[str]") -> dict[str, float]:
    whole = sum(taken.values())
    return {name: value / whole for name, value in taken.items()}
