"""Which rows train, validate and test: whole sequences, or stretches of time with gaps between them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.whole_numbers import check_whole
from aelle_core.tasks.arrays.recordings import Recordings
from aelle_core.tasks.examples import permutation

PARTS = ("training", "validation", "test")
FEWEST = 10  # sequences that can be split as wholes
_WINDOW = 50
_TRAINED_WINDOWS = 128  # of series that are split in time: four mini-batches


@dataclass(frozen=True)
class Piece:
    """Rows of one sequence that make one example; the last `ahead` of them are targets alone."""

    sequence: int
    rows: slice


@dataclass(frozen=True)
class Splitting:
    """How recordings are cut into examples.

    by          "sequence": each sequence is in one part; "time": of each sequence the beginning trains, what follows
                validates, the end tests; None: by sequence where there are at least ten
    window      steps of an example; None for whole sequences (by sequence), or 50 or a twentieth of a shorter series
                (by time)
    stride      steps from one window to the next; None for the window's, or so few that a series split in time gives
                128 windows to train on
    gap         steps that are left out between the parts (by time); None for the window's
    validation  share of the sequences, or of the time
    test        the same
    """

    by: Literal["sequence", "time"] | None = None
    window: int | None = None
    stride: int | None = None
    gap: int | None = None
    validation: float = 0.2
    test: float = 0.2

    @classmethod
    def checked(
        cls,
        task: str,
        split: str | None,
        window: int | None,
        stride: int | None,
        gap: int | None,
        validation: float,
        test: float,
    ) -> "Splitting":
        """Return the splitting that a task's options name. Raises UserError for one that is out of its range."""
        if split not in (None, "sequence", "time"):
            raise UserError(f"{task}: split={split!r}: expected 'sequence' or 'time'")
        for label, value, low in (("window", window, 2), ("stride", stride, 1), ("gap", gap, 0)):
            if value is not None:
                check_whole(f"{task}: {label}", value, low)
        for label, share in (("validation", validation), ("test", test)):
            if not isinstance(share, int | float) or isinstance(share, bool) or not 0 < share < 0.5:
                raise UserError(f"{task}: {label}={share!r}: expected a share above 0 and below 0.5")
        return cls(split, window, stride, gap, float(validation), float(test))  # type: ignore[arg-type]

    def kind(self, recordings: Recordings) -> Literal["sequence", "time"]:
        """Return how these recordings are split."""
        return self.by or ("sequence" if len(recordings.lengths) >= FEWEST else "time")

    def steps(self, recordings: Recordings) -> int | None:
        """Return the steps of a window; None where examples are whole sequences."""
        if self.window is not None or self.kind(recordings) == "sequence":
            return self.window
        shortest = int(recordings.lengths.min())
        if shortest < 40:
            raise UserError(
                f"arrays: a series of {recordings.source} has {counted(shortest, 'step')}: expected at least 40 to "
                f"split it in time, or at least {FEWEST} sequences"
            )
        return min(_WINDOW, shortest // 20)

    def pieces(
        self, recordings: Recordings, seed: int, ahead: int, strata: np.ndarray | None
    ) -> dict[str, list[Piece]]:
        """Return the examples of each part. `strata` (sequences,) are classes that are to be in all parts, as far as
        there are enough of each. Raises UserError where sequences are too few, or one is shorter than a window."""
        window = self.steps(recordings)
        if self.kind(recordings) == "time":
            assert window is not None
            return self._by_time(recordings, window, ahead)
        rows = list(recordings.sequences())
        pieces: dict[str, list[Piece]] = {}
        for part, chosen in self._by_sequence(recordings, seed, strata).items():
            pieces[part] = []
            for sequence in permutation(len(chosen), seed).numpy():
                number = int(chosen[sequence])
                pieces[part] += self._windows(recordings, number, rows[number], window, ahead)
        return pieces

    def stretches(self, recordings: Recordings, seed: int) -> dict[str, list[slice]]:
        """Return the rows of each part, uncut: whole sequences, or a stretch of time of each. Raises UserError where
        sequences are too few."""
        rows = list(recordings.sequences())
        if self.kind(recordings) == "time":
            gap = self._gap(self.steps(recordings))
            by_series = [self._stretches(whole, gap) for whole in rows]
            for name, whole, parts in zip(recordings.names, rows, by_series, strict=True):
                if min(part.stop - part.start for part in parts) < 2:
                    raise UserError(
                        f"arrays: series {name!r} of {recordings.source} has {whole.stop - whole.start} steps: "
                        f"expected more, for three parts beside two gaps of {gap}"
                    )
            return {part: [parts[index] for parts in by_series] for index, part in enumerate(PARTS)}
        chosen = self._by_sequence(recordings, seed, None)
        return {part: [rows[int(number)] for number in numbers] for part, numbers in chosen.items()}

    def _by_sequence(self, recordings: Recordings, seed: int, strata: np.ndarray | None) -> dict[str, np.ndarray]:
        """Return the numbers of the sequences of each part."""
        count = len(recordings.lengths)
        if count < FEWEST:
            raise UserError(
                f"arrays: {counted(count, 'sequence')} of {recordings.source}: expected at least {FEWEST} to split them"
            )
        order = permutation(count, seed).numpy()
        if strata is not None:
            order = order[np.argsort(strata[order], kind="stable")]
        return dict(zip(PARTS, self._shared(order), strict=True))

    def _shared(self, order: np.ndarray) -> list[np.ndarray]:
        """Share sequences among the parts so that each stretch of the order has its share in each."""
        test = _every(len(order), self.test)
        rest = order[~test]
        validation = _every(len(rest), self.validation / (1 - self.test))
        return [rest[~validation], rest[validation], order[test]]

    def _windows(
        self,
        recordings: Recordings,
        number: int,
        rows: slice,
        window: int | None,
        ahead: int,
        stride: int | None = None,
    ) -> list[Piece]:
        steps = rows.stop - rows.start
        needed = (window or 1) + ahead
        if steps < needed:
            raise UserError(
                f"arrays: sequence {recordings.names[number]!r} of {recordings.source} has {counted(steps, 'step')}: "
                f"expected at least {needed}, "
                + ("a window" if window else "one step")
                + " and the step after it" * bool(ahead)
            )
        if window is None:
            return [Piece(number, rows)]
        starts = range(rows.start, rows.stop - needed + 1, self.stride or stride or window)
        return [Piece(number, slice(start, start + needed)) for start in starts]

    def _by_time(self, recordings: Recordings, window: int, ahead: int) -> dict[str, list[Piece]]:
        gap = self._gap(window)
        pieces: dict[str, list[Piece]] = {part: [] for part in PARTS}
        for number, rows in enumerate(recordings.sequences()):
            for part, stretch in zip(PARTS, self._stretches(rows, gap), strict=True):
                if stretch.stop - stretch.start < window + ahead:
                    raise UserError(
                        f"arrays: series {recordings.names[number]!r} of {recordings.source} has "
                        f"{rows.stop - rows.start} steps, of which {max(0, stretch.stop - stretch.start)} are for "
                        f"{part} beside two gaps of {gap}: expected at least {window + ahead}, a window"
                        + " and the step after it"
                        * bool(ahead)
                    )
                stride = self._overlapping(stretch, window, len(recordings.lengths)) if part == PARTS[0] else None
                pieces[part] += self._windows(recordings, number, stretch, window, ahead, stride)
        return pieces

    def _gap(self, window: int | None) -> int:
        return (window or 0) if self.gap is None else self.gap

    def _stretches(self, rows: slice, gap: int) -> list[slice]:
        """Return the rows of a series that train, validate and test, with gaps between them."""
        steps = rows.stop - rows.start - 2 * gap
        ends = [round(steps * (1 - self.validation - self.test)), round(steps * (1 - self.test)), steps]
        starts = [0, ends[0] + gap, ends[1] + 2 * gap]
        return [
            slice(rows.start + first, rows.start + end + index * gap)
            for index, (first, end) in enumerate(zip(starts, ends, strict=True))
        ]

    @staticmethod
    def _overlapping(stretch: slice, window: int, series: int) -> int:
        """Return the stride at which windows of a stretch, one of so many series, are enough to train on."""
        wanted = max(1, _TRAINED_WINDOWS // series)
        return max(1, min(window, (stretch.stop - stretch.start - window) // wanted))


def _every(count: int, share: float) -> np.ndarray:
    """Mark a share of `count` places, evenly; at least one."""
    places = np.arange(count)
    offset = 0.5
    marked = np.floor((places + 1) * share + offset) > np.floor(places * share + offset)
    if not marked.any():
        marked[count // 2] = True
    return marked
