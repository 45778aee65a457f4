"""Where a pack that was begun goes on: at its checkpoint, or from the start where that would leave a hole."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from aelle_core.files.atomic import set_aside
from aelle_core.files.places import Place
from aelle_core.foundation.errors import UserError
from aelle_core.training import Checkpoint, EpochResult, Trainer, read_checkpoint
from aelle_core.training.checkpoint import CheckpointError

_log = logging.getLogger(__name__)


@dataclass
class Resumption:
    """What is known of a pack that is to be trained: its checkpoint to go on from (None: from the start), the way it
    was trained in, with how many networks at once, where that is known, and in sentences what was found wrong."""

    checkpoint: Checkpoint | None
    way: str | None
    networks_at_once: int | None
    notes: list[str]

    @classmethod
    def of(cls, path: Place, missing: Sequence[int], epochs: int) -> "Resumption":
        """Read the checkpoint at `path`, if there is one; `missing` are the epochs that are not stored, of 0 to
        `epochs`.

        A checkpoint from which an earlier missing epoch cannot be reached is not used: the pack begins again, in the
        same way, and comes to the same numbers. One that is broken is set aside.
        """
        if not path.exists():
            return cls(None, None, None, [])
        try:
            checkpoint = read_checkpoint(path)
            if checkpoint.epoch > epochs:
                raise CheckpointError(
                    f"checkpoint {str(path)!r} says epoch {checkpoint.epoch}: expected up to {epochs}"
                )
        except CheckpointError as error:
            return cls(None, None, None, [_set_aside(path, error)])
        known = (checkpoint.way, checkpoint.networks_at_once)
        if holes := [epoch for epoch in missing if epoch < checkpoint.epoch]:
            held = f"its epoch {holes[0]} is not stored, and its checkpoint is of {checkpoint.epoch}"
            note = f"{path.stem} begins again: {held}"
            _log.warning(note)
            return cls(None, *known, [note])
        return cls(checkpoint, *known, [])

    def restore(self, trainer: Trainer, names: Sequence[str]) -> EpochResult | None:
        """Load the checkpoint into a new trainer and return its epoch's result; None where it begins at the start,
        as it does when the checkpoint turns out to be of another pack, which is then set aside."""
        if self.checkpoint is None:
            return None
        try:
            return self.checkpoint.restore(trainer, names)
        except CheckpointError as error:
            self.notes.append(_set_aside(self.checkpoint.path, error))
            self.checkpoint = None
            return None


def _set_aside(path: Place, error: UserError) -> str:
    aside = set_aside(path)
    note = f"{error}; it was set aside as {aside.name}, and {path.stem} begins again"
    _log.warning(note)
    return note
