"""Sequences of different lengths, from lists, packed sequences and data loaders."""

from collections.abc import Iterator, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence
from torch.utils.data import DataLoader

from aelle_core.foundation.errors import UserError
from aelle_core.lyapunov.accepting.checks import is_whole, real_tensor_of


@dataclass(frozen=True)
class Alike:
    """Sequences of one length.

    inputs  (batch, time, features)
    indices  the index of each of them among all sequences; None where there are no others
    """

    inputs: Any
    indices: list[int] | None = None


def batches_of(inputs: Any) -> Iterator[Any]:
    """Yield what a loader yields, without the targets: of a tuple or list the first part; anything else as it stands.

    Raises UserError for a loader without an end, or without any batch, and for batches that are dictionaries.
    """
    if not isinstance(inputs, DataLoader):
        yield inputs
        return
    if not isinstance(inputs.dataset, Sized):
        raise UserError("inputs are a DataLoader of a data set without a length: expected one that comes to an end")
    count = 0
    for batch in inputs:
        first = batch[0] if isinstance(batch, tuple | list) and not isinstance(batch, PackedSequence) else batch
        if not isinstance(first, Tensor | np.ndarray | PackedSequence):
            raise UserError(
                f"inputs are a DataLoader of {type(batch).__name__} batches: expected tensors or packed sequences, or "
                "tuples that begin with one"
            )
        count += 1
        yield first
    if not count:
        raise UserError("inputs are a DataLoader without a batch: expected at least one")


def sequences_alike(batches: list[Any], steps: int | None) -> list[Alike]:
    """Return the sequences of all batches, put together by length, the longest first.

    Args:
        batches: Each a tensor or array (batch, time, features), a PackedSequence, or a list of (time, features).
        steps: Cut all sequences to that many steps, after which all are alike. None for whole sequences.

    Raises UserError for a sequence of another shape than (time, features), and for one that is shorter than `steps`.
    """
    if len(batches) == 1 and not isinstance(batches[0], PackedSequence | list | tuple):
        return [Alike(batches[0])]
    sequences = [sequence for batch in batches for sequence in _taken_apart(batch)]
    if not sequences:
        raise UserError("inputs are an empty list: expected sequences (time, features)")
    for index, sequence in enumerate(sequences):
        if sequence.dim() != 2 or sequence.shape[1] != sequences[0].shape[-1] or 0 in sequence.shape:
            raise UserError(
                f"inputs[{index}] has shape {tuple(sequence.shape)}: expected (time, features), with as many features "
                "in every sequence and none of them 0"
            )
    if steps is not None:
        shortest = min(len(sequence) for sequence in sequences)
        if not is_whole(steps) or not 1 <= steps <= shortest:
            raise UserError(f"steps={steps!r}: expected 1 to {shortest}, the length of the shortest sequence")
        sequences = [sequence[:steps] for sequence in sequences]
    by_length: dict[int, list[int]] = {}
    for index, sequence in enumerate(sequences):
        by_length.setdefault(len(sequence), []).append(index)
    stacked = [
        Alike(torch.stack([sequences[index] for index in indices]), indices)
        for _, indices in sorted(by_length.items(), reverse=True)
    ]
    return stacked if len(stacked) > 1 else [Alike(stacked[0].inputs)]


def _taken_apart(batch: Any) -> Iterator[Tensor]:
    """Yield the sequences of a batch in its own order, each (time, features) without padding."""
    if isinstance(batch, PackedSequence):
        padded, lengths = pad_packed_sequence(batch, batch_first=True)
        yield from (real_tensor_of("inputs", padded[index, :length]) for index, length in enumerate(lengths.tolist()))
        return
    for index, sequence in enumerate(batch):
        if not isinstance(sequence, Tensor | np.ndarray):
            raise UserError(
                f"inputs[{index}] is a {type(sequence).__name__}: expected a tensor or array (time, features)"
            )
        yield real_tensor_of(f"inputs[{index}]", sequence)
