"""Runs that leave all bounds, and runs that stop."""

from typing import ClassVar

import numpy as np

from aelle_core.evaluation.free_runs.base import FreeRuns, Measure, measures

BOUND = 10.0  # standard deviations of the data
STILL = 0.01


@measures.register("diverged_share")
class DivergedShare(Measure):
    """The share of runs that are not finite, or leave the data's mean by more than 10 standard deviations."""

    description: ClassVar[str] = "share of runs that diverge"
    source: ClassVar[str] = "Platt et al., Neural Networks 153 (2022), section 4: runs that leave the attractor"

    @staticmethod
    def of(runs: FreeRuns) -> np.ndarray:
        centre = runs.data.mean(axis=(0, 1))
        inside = np.abs(runs.runs - centre) <= BOUND * np.where(runs.spread > 0, runs.spread, 1.0)
        return 1 - inside.all(axis=(2, 3)).mean(axis=1)


@measures.register("dead_share")
class DeadShare(Measure):
    """The share of runs whose second half stands still: every feature's standard deviation there is below a hundredth
    of the data's."""

    description: ClassVar[str] = "share of runs that die"
    source: ClassVar[str] = "Durstewitz, Koppe, Thurm, Nat. Rev. Neurosci. 24 (2023): runs that end in a fixed point"

    @staticmethod
    def of(runs: FreeRuns) -> np.ndarray:
        half = runs.runs[:, :, runs.runs.shape[2] // 2 :]
        with np.errstate(invalid="ignore", over="ignore"):
            still = half.std(axis=2) <= STILL * runs.spread
        return (still.all(axis=2) & np.isfinite(half).all(axis=(2, 3))).mean(axis=1)
