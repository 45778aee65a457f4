"""Forecasters on their own output: their spectra, and how well they reproduce the system."""

from collections.abc import Sequence

import numpy as np
import torch

from aelle_core.evaluation.free_runs import FreeRuns, measure_all
from aelle_core.evaluation.free_runs.exponents import exponents_error
from aelle_core.lyapunov import LyapunovSpectrum, pack_spectra
from aelle_core.training import Trainer
from aelle_core.training.forecast.trainer import ForecastTrainer

CLOSED_LOOP_EXPONENTS = 8
"""How many are followed where a study does not say."""


def closed_loop_spectra(trainer: Trainer, exponents: int) -> list[LyapunovSpectrum]:
    """Return the present leading closed-loop exponents of every network of the pack, in nats per step."""
    assert isinstance(trainer, ForecastTrainer)
    loop, task = trainer.closed_loop(), trainer.task
    size = trainer.cell.state_size + task.outputs
    return pack_spectra(
        loop,
        task.held_out.context.to(trainer.device),
        steps=task.loop_steps + task.loop_warmup,
        warmup=task.loop_warmup,
        k=min(exponents, size),
    )


def measured_free_runs(trainer: Trainer, spectra: Sequence[LyapunovSpectrum] | None) -> dict[str, np.ndarray]:
    """Return every measure of the pack's free runs against held-out data, (networks,) each, and, where closed-loop
    `spectra` and the system's own exponents are at hand, how far these are apart. Nothing where the pack's task has no
    free runs."""
    if not isinstance(trainer, ForecastTrainer):
        return {}
    held_out = trainer.task.held_out
    with torch.no_grad():
        runs = trainer.closed_loop().outputs(held_out.context.to(trainer.device), held_out.continuation.shape[1]).cpu()
    rate = held_out.exponents.get(0)
    measures = measure_all(FreeRuns(runs.numpy(), held_out.continuation.double().numpy(), held_out.interval, rate))
    if spectra is not None and held_out.exponents:
        closed = np.stack([spectrum.exponents for spectrum in spectra])
        measures["exponents_error"] = exponents_error(closed, held_out.exponents, held_out.interval)
    return measures
