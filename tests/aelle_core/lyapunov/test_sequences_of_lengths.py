"""Sequences of different lengths: every sequence has the spectrum that it has alone."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from aelle_core import SpectrumCallback, lyapunov_spectrum
from aelle_core.foundation.errors import UserError

LENGTHS = [7, 12, 7, 30]
SOURCE = torch.Generator().manual_seed(0)
SEQUENCES = [torch.randn(length, 3, generator=SOURCE, dtype=torch.float64) for length in LENGTHS]
PADDED = nn.utils.rnn.pad_sequence(SEQUENCES, batch_first=True)


def lstm(batch_first: bool = True) -> nn.LSTM:
    torch.manual_seed(1)
    return nn.LSTM(3, 4, num_layers=2, batch_first=batch_first).double()


def alone(system: Any, sequences: list[Tensor], **options: Any) -> np.ndarray:
    """Each sequence by itself: (batch, k), every row in descending order."""
    return np.stack([lyapunov_spectrum(system, sequence[None], **options).exponents for sequence in sequences])


def in_order(rows: np.ndarray) -> np.ndarray:
    return -np.sort(-rows, axis=1)


@pytest.mark.parametrize("given", ["list", "arrays", "packed"])
@pytest.mark.parametrize("jacobian", ["full", "hidden"])
def test_every_sequence_counts_to_its_own_end(given: str, jacobian: Any) -> None:
    inputs: Any = {
        "list": SEQUENCES,
        "arrays": [sequence.numpy() for sequence in SEQUENCES],
        "packed": pack_sequence(SEQUENCES, enforce_sorted=False),
    }[given]
    expected = alone(lstm(), SEQUENCES, jacobian=jacobian, warmup=2)
    for layer in (lstm(), lstm(batch_first=False)):  # sequences of a list have no batch to stand before or behind
        spectrum = lyapunov_spectrum(layer, inputs, jacobian=jacobian, warmup=2)
        np.testing.assert_allclose(in_order(spectrum.per_sequence), expected, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(spectrum.exponents, spectrum.per_sequence.mean(axis=0), rtol=1e-12)
        assert spectrum.lengths is not None
        assert spectrum.lengths.tolist() == [length - 2 for length in LENGTHS]
        assert spectrum.steps == 28
        assert spectrum.resolved is not None
        assert spectrum.resolved.all()
        assert "4 x 5 to 28 steps" in repr(spectrum)
        assert spectrum.sum_rule_residual < 1e-7


def test_the_mean_of_logarithms_is_exact() -> None:
    """s' = x s: the exponent of each sequence is the mean of log |x| over it."""
    factors = [torch.tensor([[0.5]] * 3), torch.tensor([[2.0], [0.25]]), torch.tensor([[3.0]])]
    spectrum = lyapunov_spectrum(lambda x, s: x * s, factors, initial_state=torch.ones(3, 1, dtype=torch.float64))
    np.testing.assert_allclose(spectrum.per_sequence[:, 0], np.log([0.5, 0.5**0.5, 3.0]), rtol=1e-14)
    assert spectrum.maximum == pytest.approx(np.log([0.5, 0.5**0.5, 3.0]).mean(), rel=1e-14)
    assert spectrum.stderr[0] == pytest.approx(np.log([0.5, 0.5**0.5, 3.0]).std(ddof=1) / 3**0.5, rel=1e-12)


def test_each_sequence_keeps_its_row_of_the_initial_state() -> None:
    h, c = (torch.rand(2, 4, 4, generator=SOURCE, dtype=torch.float64) - 0.5 for _ in range(2))
    spectrum = lyapunov_spectrum(lstm(), SEQUENCES, initial_state=(h, c))
    for row, sequence in enumerate(SEQUENCES):
        by_itself = lyapunov_spectrum(lstm(), sequence[None], initial_state=(h[:, row : row + 1], c[:, row : row + 1]))
        np.testing.assert_allclose(in_order(spectrum.per_sequence)[row], by_itself.exponents, rtol=1e-9, atol=1e-11)


def test_steps_cut_all_sequences_to_one_length() -> None:
    spectrum = lyapunov_spectrum(lstm(), SEQUENCES, steps=6, running=2)
    expected = lyapunov_spectrum(lstm(), PADDED[:, :6], running=2)
    np.testing.assert_array_equal(spectrum.exponents, expected.exponents)
    assert spectrum.lengths is None
    assert spectrum.steps == 6


@pytest.mark.parametrize("precision", ["fast", "extended"])
def test_other_precisions(precision: Any) -> None:
    shorter = [sequence[:5] if index else sequence[:3] for index, sequence in enumerate(SEQUENCES[:3])]
    spectrum = lyapunov_spectrum(lstm(), shorter, precision=precision, jacobian="hidden")
    np.testing.assert_allclose(
        in_order(spectrum.per_sequence), alone(lstm(), shorter, jacobian="hidden"), atol=1e-3, rtol=1e-3
    )
    assert spectrum.precision == ("fast" if precision == "fast" else "exact")  # float64 has resolved all


class Reader(nn.Module):
    """Embeds letters, packs them, and reads them with an LSTM."""

    def __init__(self, packs: bool = True) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.embed = nn.Embedding(5, 3)
        self.memory = nn.LSTM(3, 4, batch_first=True)
        self.packs = packs
        self.double()

    def forward(self, letters: Tensor | list[Tensor]) -> Any:
        if self.packs:
            return self.memory(pack_sequence([self.embed(word) for word in letters], enforce_sorted=False))
        return self.memory(self.embed(letters))


LETTERS = [torch.randint(5, (length,), generator=SOURCE) for length in LENGTHS]


def test_a_module_may_pack_what_it_gives_to_its_layer() -> None:
    model = Reader()
    spectrum = lyapunov_spectrum(model, LETTERS)
    with torch.no_grad():
        expected = alone(model.memory, [model.embed(word) for word in LETTERS])
    np.testing.assert_allclose(in_order(spectrum.per_sequence), expected, rtol=1e-9, atol=1e-11)


def test_a_loader_gives_the_spectrum_of_all_its_batches() -> None:
    inputs = torch.randn(10, 9, 3, generator=SOURCE, dtype=torch.float64)
    loader = DataLoader(TensorDataset(inputs, torch.arange(10)), batch_size=4)
    spectrum = lyapunov_spectrum(lstm(), loader)
    expected = lyapunov_spectrum(lstm(), inputs)
    np.testing.assert_allclose(spectrum.exponents, expected.exponents, rtol=1e-12)
    assert spectrum.per_sequence.shape == expected.per_sequence.shape
    assert spectrum.lengths is None


def test_a_loader_whose_batches_are_packed_or_padded_to_several_lengths() -> None:
    def collate(batch: list[int]) -> tuple[PackedSequence, Tensor]:
        return pack_sequence([SEQUENCES[index] for index in batch], enforce_sorted=False), torch.tensor(batch)

    loader: DataLoader = DataLoader(range(4), batch_size=3, collate_fn=collate)  # type: ignore[arg-type]
    spectrum = lyapunov_spectrum(lstm(), loader)
    np.testing.assert_allclose(in_order(spectrum.per_sequence), alone(lstm(), SEQUENCES), rtol=1e-9, atol=1e-11)


def test_a_loader_of_what_a_module_takes() -> None:
    letters = torch.randint(5, (6, 8), generator=SOURCE)
    model = Reader(packs=False)
    spectrum = lyapunov_spectrum(model, DataLoader(TensorDataset(letters), batch_size=4))
    np.testing.assert_allclose(spectrum.exponents, lyapunov_spectrum(model, letters).exponents, rtol=1e-12)
    watch = SpectrumCallback(DataLoader(TensorDataset(letters), batch_size=4), every=1, budget=None)
    seen = watch(model)
    assert seen is not None
    np.testing.assert_allclose(seen.exponents, spectrum.exponents, rtol=1e-12)


class Endless(IterableDataset):
    def __iter__(self) -> Any:
        while True:
            yield torch.zeros(3, 3)


class Both(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.GRU(3, 4, bidirectional=True, batch_first=True)

    def forward(self, x: Tensor) -> Any:
        return self.encoder(x)


@pytest.mark.parametrize(
    ("system", "inputs", "options", "message"),
    [
        (lstm(), [], {}, "inputs are an empty list: expected sequences"),
        (lstm(), [SEQUENCES[0], torch.zeros(4)], {}, r"inputs\[1\] has shape \(4,\): expected \(time, features\)"),
        (lstm(), [SEQUENCES[0], torch.zeros(4, 2)], {}, r"inputs\[1\] has shape \(4, 2\)"),
        (lstm(), [SEQUENCES[0], "text"], {}, r"inputs\[1\] is a str: expected a tensor"),
        (lstm(), [torch.zeros(4, 2), torch.zeros(5, 2)], {}, r"expected \(batch, time, 3\)"),
        (lstm(), SEQUENCES, {"steps": 8}, "steps=8: expected 1 to 7, the length of the shortest sequence"),
        (lstm(), SEQUENCES, {"warmup": 7}, "warmup=7: expected a whole number from 0 to 6"),
        (lstm(), SEQUENCES, {"running": 2}, "running=2 was given with sequences of different lengths"),
        (lstm(), SEQUENCES, {"vectors": "covariant"}, "vectors='covariant' was given with inputs in a list"),
        (lstm(), DataLoader(Endless()), {}, "a data set without a length"),
        (lstm(), DataLoader([{"x": 1.0}]), {}, "a DataLoader of dict batches"),  # type: ignore[arg-type]
        (lambda x, s: s, SEQUENCES, {"initial_state": torch.zeros(3, 2)}, "has batch 3: the inputs have 4"),
        (Both(), PADDED.float(), {}, "layer 'encoder' of Both: GRU is bidirectional"),
        (
            nn.Sequential(nn.Linear(3, 3), nn.Tanh()),
            PADDED,
            {},
            r"Sequential holds no recurrent layer of torch \(Linear, Tanh\): expected one inside it",
        ),
        (nn.Sequential(nn.Linear(3, 3)), PADDED, {"layer": "0"}, "layer='0' is a Linear: Sequential has the"),
    ],
)
def test_what_does_not_fit_is_named(system: Any, inputs: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        lyapunov_spectrum(system, inputs, **options)


def test_padding_is_not_counted() -> None:
    packed = pack_padded_sequence(PADDED, torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False)
    spectrum = lyapunov_spectrum(lstm(), packed)
    np.testing.assert_allclose(spectrum.exponents, lyapunov_spectrum(lstm(), SEQUENCES).exponents, rtol=1e-14)
    assert not np.allclose(spectrum.exponents, lyapunov_spectrum(lstm(), PADDED).exponents, rtol=1e-3)
