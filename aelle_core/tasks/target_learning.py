"""Drawing a sum of four sines, over and over, without inputs."""

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from aelle_core.foundation.errors import UserError
from aelle_core.foundation.whole_numbers import check_whole
from aelle_core.tasks.base import Task, tasks

_AMPLITUDES = (1.3 / 1.5, 1.3 / 3, 1.3 / 9, 1.3 / 4.5)  # Sussillo & Abbott's program: 1.3 / 1.5 (1, 1/2, 1/6, 1/3)
_FREQUENCIES = (1, 2, 3, 4)
_HIGHEST = 6


@tasks.register("target_learning")
class TargetLearning(Task):
    """f(t) = sum of a_i sin(2 pi k_i t / period) of four sines, to be drawn by a network that hears only itself.

    amplitudes, frequencies  "fixed": 1.3 / 1.5 times 1, 1/2, 1/6, 1/3, and 1, 2, 3, 4 cycles a period; "random":
                             uniform in (0.1, 1) and then scaled to the same power, and four of 1 to 6 cycles, as the
                             seed decides
    period                   steps a period; 1200 of dt = 0.1 are 120 time constants of a unit
    learn_every              steps from one update of the weights to the next
    test_periods             periods that the trained network runs freely; the loss is their mean |error|
    spectrum_periods         how many of these a spectrum is taken along

    An epoch of training is a period. A network that stays silent has a loss of 0.617 on the fixed target.
    Sussillo & Abbott, Neuron 2009; Vogt et al. 2024, section 4.1.
    """

    trainer: ClassVar[str] = "force"
    loss_name: ClassVar[str] = "mean |error|"
    input_size = 1  # always zero: a cell has at least one input

    def __init__(
        self,
        *,
        seed: int = 0,
        amplitudes: str = "fixed",
        frequencies: str = "fixed",
        period: int = 1200,
        learn_every: int = 2,
        test_periods: int = 15,
        spectrum_periods: int = 1,
    ) -> None:
        super().__init__(seed=seed)
        for label, choice in (("amplitudes", amplitudes), ("frequencies", frequencies)):
            if choice not in ("fixed", "random"):
                raise UserError(f"target_learning: {label}={choice!r}: expected 'fixed' or 'random'")
        counts = {
            "period": (period, 2 * _HIGHEST + 1, 1_000_000),
            "learn_every": (learn_every, 1, period),
            "test_periods": (test_periods, 1, 10_000),
            "spectrum_periods": (spectrum_periods, 1, 10_000),
        }
        for label, (value, low, high) in counts.items():
            check_whole(f"target_learning: {label}", value, low, high)
        self.period = period
        self.learn_every = learn_every
        self.test_periods = test_periods
        self.spectrum_periods = spectrum_periods
        source = np.random.default_rng([seed, 4])
        drawn, cycles = source.uniform(0.1, 1, 4), source.permutation(_HIGHEST)[:4] + 1
        power = np.linalg.norm(_AMPLITUDES) / np.linalg.norm(drawn)
        self.amplitudes = (
            _AMPLITUDES if amplitudes == "fixed" else tuple(float(amplitude * power) for amplitude in drawn)
        )
        self.frequencies = (
            _FREQUENCIES if frequencies == "fixed" else tuple(int(frequency) for frequency in np.sort(cycles))
        )

    @property
    def steps(self) -> int:
        return self.spectrum_periods * self.period

    def target(self) -> Tensor:
        """One period of f, (period,) in float64."""
        angles = 2 * torch.pi * torch.arange(self.period, dtype=torch.float64) / self.period
        sines = [a * torch.sin(k * angles) for a, k in zip(self.amplitudes, self.frequencies, strict=True)]
        return torch.stack(sines).sum(dim=0)

    def spectrum_inputs(self, sequences: int) -> Tensor:
        return torch.zeros(1, self.steps, self.input_size)

    def illustration(self) -> list[tuple[str, np.ndarray]]:
        return [("one period of the target", self.target().numpy())]

    def statement(self) -> dict[str, Any]:
        return {
            "task": self.name,
            "seed": self.seed,
            "amplitudes": list(self.amplitudes),
            "frequencies": list(self.frequencies),
            "period": self.period,
            "learn_every": self.learn_every,
            "test_periods": self.test_periods,
            "spectrum_periods": self.spectrum_periods,
        }
