"""Starts of networks: what is drawn, what is done before training, and what that costs."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from aelle_core import LyapunovRegularizer
from aelle_core.cells import Cell, Network
from aelle_core.foundation.random_streams import stream_seed
from aelle_core.screening import SpectrumPredictor, Sweep, screen
from aelle_core.tasks import Supervised
from aelle_core.training import NetworkSettings

LEARNING_RATE = 0.003
PLAIN, ORTHOGONAL, FORGET, REGULARISED, SCREENED = (
    "plain",
    "orthogonal, input gain 0.3",
    "forget bias 3",
    "regularised",
    "screened",
)
CANDIDATES = 30
EXPONENTS, STEPS, RATE = 16, 10, 0.01  # of the regulariser: exponents pulled to 0, steps of Adam and their rate


@dataclass(frozen=True)
class Start:
    """A network before training: its settings, its weights where they are not what the settings draw, and the seconds
    of one core that were spent on them."""

    settings: NetworkSettings
    weights: Mapping[str, Tensor] | None
    seconds: float


def starts(cell: Cell, task: Supervised, seed: int, predictor: SpectrumPredictor) -> dict[str, Start]:
    """Return the starts of one seed, by name. A forget bias is for cells that have the gate."""
    plain = NetworkSettings(stream_seed(seed, f"shaping/{task.name}/{cell.name}"), cell.units**-0.5, LEARNING_RATE)
    by_name = {
        PLAIN: Start(plain, None, 0.0),
        ORTHOGONAL: Start(
            replace(plain, scale=(3 / cell.units) ** 0.5, initialiser="orthogonal", input_gain=0.3), None, 0.0
        ),
        REGULARISED: _timed(lambda: _regularised(cell, task, plain)),
        SCREENED: _timed(lambda: _screened(cell, task, seed, plain, predictor)),
    }
    if cell.forget_gate is not None:
        by_name[FORGET] = Start(replace(plain, forget_bias=3.0), None, 0.0)
    return by_name


def known() -> SpectrumPredictor:
    """Return a predictor of the kept sweep whose networks differ in the family of their weights: another task."""
    return SpectrumPredictor().fit(Sweep.load("mixed"))


def _timed(make: Callable[[], tuple[NetworkSettings, Mapping[str, Tensor] | None]]) -> Start:
    begun = time.process_time()
    settings, weights = make()
    return Start(settings, weights, time.process_time() - begun)


def _regularised(
    cell: Cell, task: Supervised, settings: NetworkSettings
) -> tuple[NetworkSettings, Mapping[str, Tensor]]:
    """Pull the leading hidden-state exponents of the plain start to 0, along one sequence of the task."""
    weights = {name: value.requires_grad_() for name, value in settings.initial_weights(cell).items()}
    penalty, inputs = LyapunovRegularizer(k=EXPONENTS, every=2), task.spectrum_inputs(1)
    adam = torch.optim.Adam(list(weights.values()), RATE)
    for _ in range(STEPS):
        adam.zero_grad()
        penalty(Network(cell, weights), inputs, jacobian="hidden").backward()
        adam.step()
    return settings, {name: value.detach() for name, value in weights.items()}


def _screened(
    cell: Cell, task: Supervised, seed: int, plain: NetworkSettings, predictor: SpectrumPredictor
) -> tuple[NetworkSettings, None]:
    """Draw starts over scale, family, input gain and forget bias, and keep the one with the least expected loss."""
    source = np.random.default_rng(stream_seed(seed, f"candidates/{task.name}/{cell.name}"))
    drawn = [
        replace(
            plain,
            seed=stream_seed(plain.seed, "candidate", number),
            scale=float(np.exp(source.uniform(np.log(0.02), 0))),
            initialiser=str(source.choice(["uniform", "orthogonal"])),
            input_gain=float(np.exp(source.uniform(np.log(0.1), 0))),
            forget_bias=float(source.uniform(0, 4)) if cell.forget_gate is not None else 0.0,
        )
        for number in range(CANDIDATES)
    ]
    networks = [Network(cell, settings.initial_weights(cell)) for settings in drawn]
    (best,) = screen(networks, task.spectrum_inputs(1), predictor, keep=1, learning_rate=LEARNING_RATE)
    return drawn[best.index], None
