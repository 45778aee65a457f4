"""Packed gradient training: many networks of one shape, each with its own data order, noise, clip and fate."""

from aelle_core.training.checkpoint import load_checkpoint, save_checkpoint
from aelle_core.training.optimiser import PackedAdam
from aelle_core.training.pack import EpochResult, NetworkSettings, PackTrainer
from aelle_core.training.ways import available_ways, ways

__all__ = [
    "EpochResult",
    "NetworkSettings",
    "PackTrainer",
    "PackedAdam",
    "available_ways",
    "load_checkpoint",
    "save_checkpoint",
    "ways",
]
