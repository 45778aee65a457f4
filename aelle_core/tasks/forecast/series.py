"""Where the series of a forecast come from: a known system, or recordings."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.random_streams import stream_seed
from aelle_core.systems import KnownSystem
from aelle_core.tasks.arrays.recordings import Recordings
from aelle_core.tasks.arrays.scaling import Scaling
from aelle_core.tasks.arrays.splitting import Splitting

Judged = Literal["validation", "test"]
JUDGED: tuple[Judged, ...] = ("validation", "test")

_MOST_FREE_RUNS = 32


class Series(Protocol):
    """Series of `features` features, `interval` units of time between two steps; `exponents` are the published ones of
    what made them, by rank, in nats per unit of time. Every series is (steps, features), as it was observed."""

    name: str
    interval: float
    exponents: Mapping[int, float]

    @property
    def features(self) -> int: ...

    def training(self) -> Sequence[Tensor]:
        """Return what networks learn from, (steps, features) each."""
        ...

    def judged(self, part: Judged, longest: int) -> Sequence[Tensor]:
        """Return what one-step losses are measured on, (steps, features) each; no more than so many steps of a series
        are used."""
        ...

    def free(self, context: int | None, steps: int | None) -> tuple[Tensor, int]:
        """Return what free runs are judged by, (sequences, context + steps, features), and the context's steps."""
        ...

    def statement(self) -> dict[str, Any]:
        """Return what the result says about them."""
        ...


class SystemSeries:
    """Series of a known system, each purpose from its own states on the attractor. Networks are trained and tested on
    what is observed with `noise`; free runs are judged by clean series."""

    def __init__(self, system: KnownSystem, seed: int, noise: float, series: int, length: int) -> None:
        self.system, self.seed, self.noise, self.series, self.length = system, seed, noise, series, length
        self.name, self.interval = system.name, system.interval
        known = system.published
        self.exponents: Mapping[int, float] = {} if known is None else dict(known.exponents)

    @property
    def features(self) -> int:
        return self.system.features

    @property
    def _held_out(self) -> int:
        return max(4, self.series // 4)

    def _sample(self, purpose: str, series: int, steps: int, noise: float) -> Tensor:
        return self.system.sample(
            series, steps, seed=stream_seed(self.seed, f"forecast/{purpose}") % 2**32, noise=noise
        )

    def training(self) -> Sequence[Tensor]:
        return self._sample("training", self.series, self.length, self.noise).unbind()

    def judged(self, part: Judged, longest: int) -> Sequence[Tensor]:
        return self._sample(part, self._held_out, min(self.length, longest), self.noise).unbind()

    def free(self, context: int | None, steps: int | None) -> tuple[Tensor, int]:
        read = 100 if context is None else context
        whole = self._sample("free runs", 2 * self._held_out, read + (1000 if steps is None else steps), 0.0)
        return whole, read

    def statement(self) -> dict[str, Any]:
        return {**self.system.statement(), "noise": self.noise}


class RecordedSeries:
    """One's own series: of each the beginning trains, what follows validates, the end tests; or whole sequences do.
    Free runs are judged by what comes in the test part, where as many as have room start one after another."""

    interval = 1.0
    exponents: Mapping[int, float] = {}

    def __init__(self, recordings: Recordings, splitting: Splitting, seed: int) -> None:
        self.recordings, self.splitting, self.name = recordings, splitting, recordings.source
        self._parts = splitting.stretches(recordings, seed)
        Scaling.learned(recordings.features, np.concatenate(self._of("training")))  # refuses what never changes

    @property
    def features(self) -> int:
        return self.recordings.values.shape[1]

    def _of(self, part: str) -> list[Tensor]:
        return [torch.from_numpy(self.recordings.values[rows]) for rows in self._parts[part]]

    def training(self) -> Sequence[Tensor]:
        return self._of("training")

    def judged(self, part: Judged, longest: int) -> Sequence[Tensor]:
        return self._of(part)

    def free(self, context: int | None, steps: int | None) -> tuple[Tensor, int]:
        """Return (sequences, context + steps, features), cut from the test part, and the context's steps. Raises
        UserError where that is too short."""
        series = self._of("test")
        room = max(map(len, series))
        read = min(100, room // 5) if context is None else context
        after = min(1000, room - read) if steps is None else steps
        if min(read, after) < 1 or read + after > room:
            raise UserError(
                f"forecast: the test part of {self.name} has at most {counted(room, 'step')} of a series: expected "
                f"{read + after} for a free run, context={read} and free_steps={after}; give smaller ones, or more data"
            )
        starts = [(whole, first) for whole in series for first in range(0, len(whole) - read - after + 1, after)]
        return torch.stack([whole[first : first + read + after] for whole, first in starts[:_MOST_FREE_RUNS]]), read

    def statement(self) -> dict[str, Any]:
        return {
            "source": self.name,
            "split": self.splitting.kind(self.recordings),
            "feature_names": list(self.recordings.features),
        }
