"""What is to be learned of recordings: a class, real numbers, or the next step."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from aelle_core.foundation.errors import UserError, some_of
from aelle_core.tasks.arrays.recordings import Recordings

Learn = Literal["classification", "regression", "forecasting"]
LEARN: tuple[Learn, ...] = ("classification", "regression", "forecasting")
_MOST_CLASSES = 100


@dataclass(frozen=True)
class Goal:
    """What is learned, and from which targets.

    values   classes (n,) in int64, or numbers (n, outputs) in float64, n sequences or rows; None for forecasting
    classes  what the classes are called
    outputs  what the outputs are called
    """

    learn: Learn
    values: np.ndarray | None
    classes: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    @property
    def ahead(self) -> int:
        """How many rows at the end of an example are targets alone."""
        return 1 if self.learn == "forecasting" else 0


def goal_of(recordings: Recordings, learn: Learn | None) -> Goal:
    """Return what is learned of recordings: as said, or, where nothing was said, classes where the target is a text or
    a few whole numbers, numbers otherwise, the next step where there is no target. Raises UserError where the
    targets are not of that kind."""
    targets = recordings.targets
    if learn == "forecasting" or (learn is None and targets is None):
        return Goal("forecasting", None, outputs=tuple(recordings.features))
    if targets is None:
        raise UserError(
            f"arrays: learn={learn!r} of {recordings.source} without targets: expected some, or 'forecasting'"
        )
    kind = targets.dtype.kind
    if learn is None:
        learn = "regression" if kind == "f" or (targets.shape[1] > 1 and kind != "U") else "classification"
        distinct = len(np.unique(targets))
        if learn == "classification" and kind != "U" and distinct > min(_MOST_CLASSES, max(2, len(targets) // 3)):
            raise UserError(
                f"arrays: the target of {recordings.source} has {distinct} different whole numbers: expected "
                "learn='regression' or 'classification' to be said"
            )
    name = recordings.outputs[0]
    if learn == "regression":
        if kind not in "fiub":
            raise UserError(
                f"arrays: the target {name!r} holds {str(targets[0, 0])!r}: expected numbers for a regression"
            )
        return Goal("regression", targets.astype(np.float64), outputs=tuple(recordings.outputs))
    if targets.shape[1] != 1:
        raise UserError(f"arrays: classes of {recordings.source} have {targets.shape[1]} columns: expected one")
    column = targets[:, 0]
    if kind == "f":
        broken = column[column != np.round(column)]
        if len(broken):
            raise UserError(f"arrays: label {broken[0]:g} of {name!r}: expected whole numbers or texts for classes")
        column = column.astype(np.int64)
    known, codes = np.unique(column, return_inverse=True)
    if len(known) < 2:
        raise UserError(f"arrays: the target {name!r} is {str(known[0])!r} everywhere: expected at least two classes")
    return Goal("classification", codes.astype(np.int64), classes=tuple(str(label) for label in known))


def check_classes(goal: Goal, trained: np.ndarray) -> None:
    """Raise UserError where a class does not occur among the targets of the training part, (n,)."""
    absent = sorted(set(range(len(goal.classes))) - set(trained.tolist()))
    if absent:
        names = some_of([repr(goal.classes[code]) for code in absent])
        raise UserError(f"arrays: class {names} does not occur in the training part: expected more sequences of it")
