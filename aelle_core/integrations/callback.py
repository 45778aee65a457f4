"""Spectra of a model while it trains, within a budget of time."""

import time
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence
from torch.utils.data import DataLoader

from aelle_core.foundation.errors import UserError
from aelle_core.foundation.whole_numbers import check_whole
from aelle_core.integrations.logs import Log, log_to
from aelle_core.lyapunov import LyapunovSpectrum, lyapunov_spectrum
from aelle_core.lyapunov.spectrum import Inputs


class SpectrumCallback:
    """Compute the spectrum of a model every few training steps, on a few fixed sequences.

    Args:
        inputs: What the model takes, such as (batch, time, features) or a list of sequences; the first `sequences`
            of them are used. Packed sequences and data loaders are used whole.
        every: Training steps between two spectra.
        log: Where spectra go, or several places in a tuple: see aelle_core.integrations.logs. They are kept in
            `history` as well, as (step, spectrum).
        budget: The largest share of the time since the first step that spectra may take; what would exceed it is
            skipped and counted in `skipped`. None for no limit.
        sequences: How many of the inputs' sequences are used.
        k, jacobian, layer: As in `lyapunov_spectrum`.

    A plain loop calls it after each optimiser step, as below. For PyTorch Lightning hand `callback.lightning()` to the
    trainer, for skorch `callback.skorch()` to the net. The model's mode and its random numbers are left as they were.

    >>> import torch
    >>> from aelle_core import SpectrumCallback
    >>> model = torch.nn.GRU(3, 8, batch_first=True)
    >>> watch = SpectrumCallback(torch.randn(16, 20, 3), every=10, budget=None)
    >>> for step in range(30):
    ...     spectrum = watch(model)  # after optimiser.step()
    >>> len(watch.history)  # after steps 0, 10 and 20
    3
    """

    def __init__(
        self,
        inputs: Inputs,
        every: int = 100,
        log: Any = None,
        *,
        budget: float | None = 0.05,
        sequences: int = 3,
        k: int | None = None,
        jacobian: Literal["full", "hidden"] = "full",
        layer: str | None = None,
    ) -> None:
        for label, value in (("every", every), ("sequences", sequences)):
            check_whole(label, value, 1)
        if budget is not None and not 0 < budget <= 1:
            raise UserError(f"budget={budget!r}: expected a share of the time above 0 and at most 1, or None")
        # Neither a packed sequence nor a loader can be cut by sequences.
        self.inputs: Any = inputs if isinstance(inputs, PackedSequence | DataLoader) else inputs[:sequences]
        self.every, self.budget = every, budget
        self.history: list[tuple[int, LyapunovSpectrum]] = []
        self.skipped = 0
        destinations = () if log is None else log if isinstance(log, tuple) else (log,)
        self._logs: list[Log] = [log_to(destination) for destination in destinations]
        self._options: dict[str, Any] = {"k": k, "jacobian": jacobian, "layer": layer}
        self._calls = 0
        self._started: float | None = None
        self._spent = 0.0
        self._longest = 0.0

    def __call__(self, model: nn.Module, step: int | None = None) -> LyapunovSpectrum | None:
        """Note one training step of `model`, number `step` (by default they are counted). Return the spectrum if one
        was due and the budget allowed it."""
        now = time.perf_counter()
        self._started = now if self._started is None else self._started
        number = self._calls if step is None else step
        self._calls += 1
        if number % self.every:
            return None
        if self.history and self.budget is not None:
            allowed = self.budget * (now - self._started)
            if self._spent + self._longest > allowed:
                self.skipped += 1
                return None
        return self._spectrum(model, number)

    def _spectrum(self, model: nn.Module, number: int) -> LyapunovSpectrum:
        begun = time.perf_counter()
        modes = {module: module.training for module in model.modules()}
        # The check for rounding would double the price; resolved is None in the history.
        with torch.random.fork_rng(devices=[]):
            spectrum = lyapunov_spectrum(model, self.inputs, check=False, **self._options)
        for module, mode in modes.items():
            module.training = mode
        self.history.append((number, spectrum))
        for log in self._logs:
            log(number, spectrum)
        took = time.perf_counter() - begun
        self._spent += took
        self._longest = max(self._longest if len(self.history) > 2 else 0.0, took)
        return spectrum

    def lightning(self) -> Any:
        """Return a callback for a Trainer of PyTorch Lightning: a spectrum of its module every so many batches.

        Raises UserError where Lightning is not installed.
        """
        from aelle_core.integrations.lightning import lightning_callback

        return lightning_callback(self)

    def skorch(self) -> Any:
        """Return a callback for a net of skorch: a spectrum of its module every so many batches.

        Raises UserError where skorch is not installed.
        """
        from aelle_core.integrations.skorch import skorch_callback

        return skorch_callback(self)


Watch = Callable[[nn.Module, int | None], LyapunovSpectrum | None]
"""What a framework's callback needs of a SpectrumCallback."""
