"""Packed training: many networks of one shape side by side, each with its own fate, by gradients or by FORCE."""

from aelle_core.training.checkpoint import Checkpoint, load_checkpoint, read_checkpoint, save_checkpoint
from aelle_core.training.force.trainer import ForceTrainer
from aelle_core.training.forecast.trainer import ForecastTrainer
from aelle_core.training.gradient.optimiser import PackedAdam
from aelle_core.training.gradient.trainer import PackTrainer
from aelle_core.training.trainer import EpochResult, NetworkSettings, Timing, Trainer, trainers
from aelle_core.training.way_timings import WayTimings, Workload, fastest
from aelle_core.training.ways import available_ways, ways

__all__ = [
    "Checkpoint",
    "EpochResult",
    "ForceTrainer",
    "ForecastTrainer",
    "NetworkSettings",
    "PackTrainer",
    "PackedAdam",
    "Timing",
    "Trainer",
    "WayTimings",
    "Workload",
    "available_ways",
    "fastest",
    "load_checkpoint",
    "read_checkpoint",
    "save_checkpoint",
    "trainers",
    "ways",
]
