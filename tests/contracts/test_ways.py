"""What every way of training must do, for every cell that it takes: the numbers of the reference."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from aelle_core.cells import cells, get_cell
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.random_streams import generator
from aelle_core.tasks import Examples, Loss, Regression, Splits, Supervised
from aelle_core.testing import check_way
from aelle_core.testing.way_contract import CPU, SETTINGS, Parity, ParityAlways, drawn_targets, way_of
from aelle_core.training import NetworkSettings, PackTrainer, available_ways, ways
from aelle_core.training.mini_batches import MiniBatch
from aelle_core.training.ways import get_way

OURS = {name for name, kind in cells.items() if kind.__module__.startswith("aelle_core.")}
PAIRS = [(name, way) for name in cells for way in available_ways(get_cell(name, 4, 8), CPU) if way != "packed"]
JUMPING = ("exprnn",)
"""modReLU jumps by twice its bias where its argument is zero: a last bit decides the side, and the third digit of the
loss."""


class Sums(Regression):
    """Three sums of a random sequence's features, each with weights of its own: after the last step, or so far."""

    name = "sums"
    outputs = 3
    input_size = 4
    steps = 9

    def load(self) -> Splits:
        inputs = torch.randn(100, self.steps, self.input_size, generator=generator(self.seed, "parity"))
        sums = inputs.cumsum(dim=1) @ torch.tensor(
            [[0.5, -0.1, 0.2], [0.2, 0.3, 0.1], [0.0, 0.2, 0.4], [0.1, 0.0, 0.3]]
        )
        targets = sums if self.readout == "every" else sums[:, -1]
        lengths = None
        if self.ragged:
            lengths = torch.randint(1, self.steps + 1, (100,), generator=generator(self.seed, "lengths"))
            if self.readout == "last":
                targets = sums[torch.arange(100), lengths - 1]
            inputs = torch.where(torch.arange(self.steps).view(1, -1, 1) < lengths.view(-1, 1, 1), inputs, 7.0)
        parts = (slice(0, 70), slice(70, 85), slice(85, 100))
        return Splits(
            *(Examples(inputs[part], targets[part], None if lengths is None else lengths[part]) for part in parts)
        )


class SumsAlways(Sums):
    readout = "every"


class RaggedSums(Sums):
    ragged = True


class RaggedSumsAlways(SumsAlways):
    ragged = True


class RaggedParity(Parity):
    """Is the sum of so many of its steps above zero."""

    ragged = True

    def load(self) -> Splits:
        held = RaggedSums(seed=self.seed).splits
        return Splits(
            *(
                Examples(part.inputs, (part.targets[:, 0] > 0).long(), part.lengths)
                for part in (held.training, held.validation, held.test)
            )
        )


TASKS: list[type[Supervised]] = [Parity, ParityAlways, Sums, SumsAlways, RaggedSums, RaggedSumsAlways, RaggedParity]


def trainer(
    name: str, way: str, task: Supervised, settings: list[NetworkSettings] = SETTINGS, units: int = 19
) -> PackTrainer:
    return PackTrainer(get_cell(name, task.input_size, units), task, settings, batch_size=32, way=way)


def test_all_cells_have_a_way_besides_the_reference() -> None:
    assert {name for name, way in PAIRS if way == "compiled"} == OURS
    assert {name for name, way in PAIRS if way == "fused"} == {"rnn", "rnn_relu", "gru", "lstm"}


@pytest.mark.parametrize("truncations", [(None, None, None), (1, 4, None)])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("name", "way"), PAIRS)
def test_losses_and_gradients_equal_those_of_autograd_in_double_precision(
    name: str, way: str, task: type[Supervised], truncations: tuple[int | None, ...]
) -> None:
    check_way(way, cells[name], task(), truncations)


@pytest.mark.parametrize("task", [Parity, ParityAlways])
@pytest.mark.parametrize(("name", "way"), PAIRS)
def test_states_equal_those_in_double_precision(name: str, way: str, task: type[Supervised]) -> None:
    pack = trainer(name, way, task())
    own_way, reference = (way_of(pack, name_of_way) for name_of_way in (way, "packed"))
    double, constants = (
        {key: value.detach().double() for key, value in tensors.items()}
        for tensors in (pack.parameters, pack.constants)
    )
    for seed in (0, 1):
        inputs = torch.randn(3, 9, 37, 4, generator=generator(seed, "inputs"))
        with torch.no_grad():
            states = own_way.hidden(pack.parameters, pack.constants, MiniBatch(inputs))
        expected = reference.hidden(double, constants, MiniBatch(inputs.double()))
        largest = max(1.0, expected.abs().amax().item())  # states of a linear network are not bounded by 1
        torch.testing.assert_close(states.double(), expected, rtol=1e-5, atol=3e-6 * largest)


@pytest.mark.parametrize("task", [Parity, ParityAlways])
@pytest.mark.parametrize(("name", "way"), [*PAIRS, *((name, "packed") for name in cells)])
def test_codes_are_one_hot_inputs(name: str, way: str, task: type[Supervised]) -> None:
    """Scores, losses and gradients from codes against those from the one-hot vectors that they stand for."""
    pack = trainer(name, way, task())
    own_way = way_of(pack, way)
    codes = torch.randint(0, 4, (3, 9, 5), generator=generator(0, "codes"), dtype=torch.uint8)
    results = []
    for inputs in (codes, functional.one_hot(codes.long(), 4).float()):
        with torch.no_grad():
            scores = own_way.scores(pack.parameters, pack.constants, MiniBatch(inputs))
        losses = own_way.losses(pack.parameters, pack.constants, MiniBatch(inputs), drawn_targets(pack, 5, 0))
        results.append([scores, losses, *torch.autograd.grad(losses.sum(), list(pack.parameters.values()))])
    for own, wanted in zip(*results, strict=True):
        torch.testing.assert_close(own, wanted, rtol=1e-5, atol=5e-6 * wanted.abs().amax().item())


@pytest.mark.parametrize("classes", [2, 10, 16, 21])
def test_losses_of_large_and_broken_scores(classes: int) -> None:
    """Hundreds, whose exponentials overflow unless the largest is taken off, and scores that are no numbers."""
    task = Parity()
    task.classes = classes  # type: ignore[misc]
    pack = trainer("gru", "compiled", task)
    own_way, reference = (get_way(name, pack.cell, "last", CPU) for name in ("compiled", "packed"))
    inputs, targets = torch.randn(3, 9, 37, 4, generator=generator(0, "inputs")), drawn_targets(pack, 37, 0)
    with torch.no_grad():
        pack.parameters["readout_bias"][0] = 300.0 * torch.randn(classes, generator=generator(0, "bias"))
        pack.parameters["readout_bias"][1, -1] = float("nan")
        pack.parameters["readout_bias"][2, 0] = float("inf")
    both = []
    for taken in (own_way, reference):
        losses = taken.losses(pack.parameters, pack.constants, MiniBatch(inputs), targets)
        both.append([losses.detach(), torch.autograd.grad(losses[0], pack.parameters["readout_weight"])[0][0]])
    (losses, gradient), (expected, wanted) = both
    torch.testing.assert_close(losses, expected, rtol=1e-6, atol=1e-6, equal_nan=True)
    assert losses[1:].isnan().all()
    torch.testing.assert_close(gradient, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [Parity, RaggedSums])
@pytest.mark.parametrize(("name", "way"), PAIRS)
def test_losses_equal_the_reference_over_fifty_steps(name: str, way: str, kind: type[Supervised]) -> None:
    """Three mini-batches an epoch, the last one smaller: 17 epochs are 51 steps."""
    task = kind()
    reference, other = trainer(name, "packed", task), trainer(name, way, task)
    near = 2e-3 if name in JUMPING else 1e-5
    for _ in range(17):
        torch.testing.assert_close(other.train_epoch(), reference.train_epoch(), rtol=near, atol=near)
    assert other.optimiser.steps == 51
    for own, wanted in zip(other.evaluate(task.splits.test), reference.evaluate(task.splits.test), strict=True):
        torch.testing.assert_close(own, wanted, rtol=near, atol=near, equal_nan=True)


@pytest.mark.parametrize("way", list(ways))
@pytest.mark.parametrize("broken", [float("nan"), float("inf"), 1e38])
def test_one_broken_network_does_not_disturb_its_neighbours(way: str, broken: float) -> None:
    task = Parity()
    able = [name for name in cells if way in available_ways(get_cell(name, 4, 8), CPU, rounded=True)]
    if not able:
        pytest.skip(f"way {way!r} trains no cell on a CPU")
    # A sum in another order is rounded elsewhere, and bfloat16 has three digits.
    close = {"rtol": 5e-2, "atol": 5e-2} if ways[way].rounded else {"rtol": 1e-5, "atol": 1e-6}
    for name in able:
        pack, healthy = trainer(name, way, task), trainer(name, way, task, [SETTINGS[0], SETTINGS[2]])
        for parameter in list(pack.parameters.values()):
            with torch.no_grad():
                parameter[1] = broken
        losses, expected = pack.train_epoch(), healthy.train_epoch()
        torch.testing.assert_close(losses[[0, 2]], expected, **close)
        assert pack.optimiser.alive[[0, 2]].all()
        for key, value in pack.parameters.items():
            torch.testing.assert_close(value[[0, 2]], healthy.parameters[key], **close)


@pytest.mark.parametrize(("name", "way"), [pair for pair in PAIRS if pair[0] in ("lstm", "noisy", "lem", "rnn")])
def test_a_pack_equals_networks_on_their_own(name: str, way: str) -> None:
    task = Parity()
    together = trainer(name, way, task)
    losses = torch.stack([together.train_epoch() for _ in range(3)])
    for index, settings in enumerate(SETTINGS):
        alone = trainer(name, way, task, [settings])
        own = torch.stack([alone.train_epoch()[0] for _ in range(3)])
        torch.testing.assert_close(own, losses[:, index], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("broken", [-1, 2])
@pytest.mark.parametrize("way", ["compiled", "packed"])
def test_targets_that_are_no_class_are_refused(way: str, broken: int) -> None:
    pack = trainer("gru", way, Parity())
    targets = drawn_targets(pack, 5, 0)
    targets[2, 3] = broken
    with pytest.raises(IndexError, match=str(broken)):
        get_way(way, pack.cell, "last", CPU).losses(pack.parameters, {}, MiniBatch(torch.zeros(3, 9, 5, 4)), targets)


@pytest.mark.parametrize("way", ["compiled", "packed", "fused"])
@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Examples(torch.full((70, 9), 4), torch.zeros(70, dtype=torch.long)), "code 4: expected 0 to 3"),
        (Examples(torch.zeros(70, 9, 4), torch.full((70,), -1)), "target -1: expected 0 to 1"),
    ],
)
def test_data_beyond_what_the_task_says_are_refused(way: str, broken: Examples, message: str) -> None:
    """Before they reach another network's weights."""

    class Broken(Parity):
        def load(self) -> Splits:
            return Splits(broken, super().load().validation, super().load().test)

    with pytest.raises(UserError, match=message):
        trainer("gru", way, Broken())
    with pytest.raises(UserError, match=message):
        trainer("gru", way, Parity()).evaluate(broken)


def test_numbers_of_other_types_are_refused() -> None:
    with pytest.raises(UserError, match=r"inputs of torch\.float64: expected torch\.float32, or whole numbers"):
        Examples(torch.zeros(3, 9, 4).double(), torch.zeros(3, dtype=torch.long))
    with pytest.raises(UserError, match=r"targets of torch\.float64: expected torch\.int64, a class each, or"):
        Examples(torch.zeros(3, 9, 4), torch.zeros(3).double())
    pack = trainer("gru", "compiled", Parity())
    own_way = get_way("compiled", pack.cell, "last", CPU)
    with pytest.raises(TypeError, match=r"given inputs of torch\.float64: expected torch\.float32"):
        own_way.scores(pack.parameters, {}, MiniBatch(torch.zeros(3, 9, 5, 4).double()))


def test_codes_beyond_the_features_are_refused() -> None:
    pack = trainer("gru", "compiled", Parity())
    codes = torch.full((3, 9, 5), 4, dtype=torch.uint8)
    with pytest.raises(IndexError, match="code 4: expected 0 to 3"):
        get_way("compiled", pack.cell, "last", CPU).losses(
            pack.parameters, {}, MiniBatch(codes), drawn_targets(pack, 5, 0)
        )


def test_gradients_of_a_mini_batch_outlive_the_next_one() -> None:
    """The arrays are used again; what autograd has to give back is kept."""
    pack = trainer("gru", "compiled", Parity())
    own_way = get_way("compiled", pack.cell, "last", CPU)

    def losses(seed: int) -> Tensor:
        inputs = torch.randn(3, 9, 5, 4, generator=generator(seed, "inputs"))
        return own_way.losses(pack.parameters, {}, MiniBatch(inputs), drawn_targets(pack, 5, seed))

    weight = pack.parameters["weight_hh"]
    (expected,) = torch.autograd.grad(losses(0).sum(), weight)
    first = losses(0)
    losses(1)
    (gradient,) = torch.autograd.grad(first.sum(), weight)
    torch.testing.assert_close(gradient, expected, rtol=0, atol=0)


def test_unknown_and_impossible_ways_are_refused() -> None:
    with pytest.raises(UserError, match=r"unknown way 'compild'.*did you mean 'compiled'"):
        trainer("gru", "compild", Parity())
    with pytest.raises(UserError, match=r"'fused' cannot train 'lem' on cpu: .*expected .*compiled, packed"):
        trainer("lem", "fused", Parity())


class Unequal(Loss):
    """A loss that no way knows by name: |output - target|^3."""

    name, label, classes = "unequal", "cubed error", False

    @staticmethod
    def rows(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).abs().pow(3).mean(dim=-1)


def test_a_loss_that_a_task_brings_is_learned_in_the_ways_that_take_any(monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(Sums):
        @property
        def loss_kind(self) -> type[Loss]:
            return Unequal

    gru = get_cell("gru", 4, 8)
    assert available_ways(gru, CPU, Unequal) == ["fused", "packed"]
    with pytest.raises(UserError, match=r"'compiled' cannot train 'gru' on cpu: its loss 'unequal' is not compiled"):
        trainer("gru", "compiled", Own())
    packs = [trainer("gru", way, Own()) for way in ("packed", "fused")]
    for _ in range(3):
        losses = [pack.train_epoch() for pack in packs]
        torch.testing.assert_close(*losses, rtol=1e-5, atol=1e-6)
    evaluated = packs[0].evaluate(Own().splits.validation)
    assert evaluated[1].isnan().all(), "real numbers are neither right nor wrong"


def test_what_lies_behind_a_sequence_s_end_changes_nothing() -> None:
    task, other = RaggedSums(), RaggedSums()
    for part in (other.splits.training, other.splits.validation):
        assert part.lengths is not None
        part.inputs[torch.arange(9) >= part.lengths.unsqueeze(1)] = -3.0
    packs = [trainer("lstm", way, task_of_pack) for way in ("packed", "compiled") for task_of_pack in (task, other)]
    for pack in packs:
        pack.train_epoch()
    for first, second in (packs[:2], packs[2:]):
        for key, value in first.parameters.items():
            assert torch.equal(value, second.parameters[key])
        assert torch.equal(first.evaluate(task.splits.validation)[0], second.evaluate(other.splits.validation)[0])


def test_the_loss_of_sequences_of_different_lengths_is_the_mean_over_their_own_steps() -> None:
    """Against each sequence cut to its length and run alone."""
    for task in (RaggedSums(), RaggedSumsAlways()):
        pack, validation = trainer("gru", "packed", task), task.splits.validation
        assert validation.lengths is not None
        errors: list[Tensor] = []
        for inputs, targets, length in zip(validation.inputs, validation.targets, validation.lengths, strict=True):
            whole = get_way("packed", pack.cell, "every", CPU)
            scores = whole.scores(
                pack.parameters, {}, MiniBatch(inputs[:length].view(1, -1, 1, 4).expand(3, -1, -1, -1))
            )
            error = scores - targets[:length] if task.readout == "every" else scores[:, -1:] - targets
            errors.append(error.square().mean(dim=2))
        expected = torch.cat(errors, dim=1).mean(dim=1)
        torch.testing.assert_close(pack.evaluate(validation)[0], expected, rtol=1e-5, atol=1e-6)


def test_targets_of_another_kind_or_width_are_refused() -> None:
    held = Sums().splits.training
    broken = {
        "targets of torch.float32: expected torch.int64, a class each": (Parity(), held),
        "targets of 2 numbers: expected 3": (Sums(), Examples(held.inputs, held.targets[:, :2])),
        "expected 3, all of them finite": (Sums(), Examples(held.inputs, held.targets / 0)),
        "last step 9: expected 0 to 8": (Sums(), Examples(held.inputs, held.targets, torch.full((70,), 10))),
    }
    for message, (task, examples) in broken.items():
        with pytest.raises(UserError, match=message):
            task.check_examples(examples)
