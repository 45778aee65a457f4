"""Packed training: many networks of one shape side by side, each with its own fate, by gradients or by FORCE."""

from aelle_core.training.checkpoint import load_checkpoint, save_checkpoint
from aelle_core.training.force import ForceTrainer
from aelle_core.training.forward import forward
from aelle_core.training.optimiser import PackedAdam
from aelle_core.training.pack import PackTrainer
from aelle_core.training.trainer import EpochResult, NetworkSettings, Trainer, trainers

__all__ = [
    "EpochResult",
    "ForceTrainer",
    "NetworkSettings",
    "PackTrainer",
    "PackedAdam",
    "Trainer",
    "forward",
    "load_checkpoint",
    "save_checkpoint",
    "trainers",
]
