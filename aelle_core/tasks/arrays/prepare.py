"""From recordings to examples: cut, split, standardised, padded."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from aelle_core.tasks.arrays.recordings import Recordings
from aelle_core.tasks.arrays.scaling import Scaling
from aelle_core.tasks.arrays.splitting import Piece, Splitting
from aelle_core.tasks.arrays.targets import Goal, Learn, check_classes, goal_of
from aelle_core.tasks.examples import Examples, Splits


@dataclass(frozen=True)
class Prepared:
    """Examples with what was learned on the way to them."""

    splits: Splits
    goal: Goal
    features: Scaling
    targets: Scaling | None
    every: bool
    ragged: bool


def prepare(
    recordings: Recordings, splitting: Splitting, learn: Learn | None, seed: int, standardise: bool
) -> Prepared:
    """Return the examples of recordings. Raises UserError where the data are not what the options say."""
    goal = goal_of(recordings, learn)
    every = goal.learn == "forecasting" or recordings.per_step
    strata = goal.values if goal.learn == "classification" and not every else None
    pieces = splitting.pieces(recordings, seed, goal.ahead, strata)
    training = pieces["training"]
    taken = np.concatenate([recordings.values[_inputs(piece, goal)] for piece in training])
    features = Scaling.learned(recordings.features, taken) if standardise else Scaling.none(recordings.features)
    targets: Scaling | None = None
    if goal.learn == "classification":
        check_classes(goal, np.concatenate([_targets(recordings, goal, piece, every) for piece in training]))
    elif goal.learn == "forecasting":
        targets = features
    else:
        wanted = np.concatenate([_targets(recordings, goal, piece, every) for piece in training])
        targets = Scaling.learned(goal.outputs, wanted) if standardise else Scaling.none(goal.outputs)
    lengths = {len(range(*piece.rows.indices(len(recordings.values)))) for part in pieces.values() for piece in part}
    longest = max(lengths) - goal.ahead
    parts = [
        _examples(recordings, goal, part, features, targets, every, None if len(lengths) == 1 else longest)
        for part in pieces.values()
    ]
    return Prepared(Splits(*parts), goal, features, targets, every, len(lengths) > 1)


def _inputs(piece: Piece, goal: Goal) -> slice:
    return slice(piece.rows.start, piece.rows.stop - goal.ahead)


def _targets(recordings: Recordings, goal: Goal, piece: Piece, every: bool) -> np.ndarray:
    """Return the targets of an example, of each of its steps where there is one for `every`, otherwise one."""
    if goal.values is None:
        return recordings.values[piece.rows][1:]
    return goal.values[piece.rows] if every else goal.values[piece.sequence : piece.sequence + 1]


def _examples(
    recordings: Recordings,
    goal: Goal,
    pieces: Sequence[Piece],
    features: Scaling,
    scaling: Scaling | None,
    every: bool,
    padded: int | None,
) -> Examples:
    """Examples of one part, with zeros behind those that are shorter than `padded` steps."""
    inputs = [features(recordings.values[_inputs(piece, goal)]) for piece in pieces]
    targets = [_targets(recordings, goal, piece, every) for piece in pieces]
    if scaling is not None:
        targets = [scaling(values) for values in targets]
    lengths = None
    if padded is not None:
        lengths = torch.tensor([len(sequence) for sequence in inputs])
        inputs = [_behind(sequence, padded) for sequence in inputs]
        if every:
            targets = [_behind(values, padded) for values in targets]
    kind = torch.int64 if scaling is None else torch.float32
    wanted = torch.from_numpy(np.stack(targets)).to(kind)
    return Examples(torch.from_numpy(np.stack(inputs)).float(), wanted if every else wanted[:, 0], lengths)


def _behind(values: np.ndarray, steps: int) -> np.ndarray:
    return np.pad(values, ((0, steps - len(values)), *[(0, 0)] * (values.ndim - 1)))
