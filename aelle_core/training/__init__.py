"""Packed gradient training: many networks of one shape, each with its own data order, noise, clip and fate."""

from aelle_core.training.checkpoint import load_checkpoint, save_checkpoint
from aelle_core.training.forward import forward
from aelle_core.training.optimiser import PackedAdam
from aelle_core.training.pack import EpochResult, NetworkSettings, PackTrainer

__all__ = [
    "EpochResult",
    "NetworkSettings",
    "PackTrainer",
    "PackedAdam",
    "forward",
    "load_checkpoint",
    "save_checkpoint",
]
