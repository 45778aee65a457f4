"""Packed gradient training: many networks of one shape, each with its own data order, noise, clip and fate."""

from aelle_core.training.checkpoint import load_checkpoint, recorded_way, save_checkpoint
from aelle_core.training.choice import Timing, WayTimings, Workload, fastest
from aelle_core.training.optimiser import PackedAdam
from aelle_core.training.pack import EpochResult, NetworkSettings, PackTrainer
from aelle_core.training.ways import available_ways, ways

__all__ = [
    "EpochResult",
    "NetworkSettings",
    "PackTrainer",
    "PackedAdam",
    "Timing",
    "WayTimings",
    "Workload",
    "available_ways",
    "fastest",
    "load_checkpoint",
    "recorded_way",
    "save_checkpoint",
    "ways",
]
