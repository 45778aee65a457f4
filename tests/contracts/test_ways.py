"""What every way of training must do, for every cell that it takes: the numbers of the reference."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from aelle_core.cells import cells, get_cell
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.random_streams import generator
from aelle_core.tasks import Classification, Examples, Splits
from aelle_core.testing import check_way
from aelle_core.testing.way_contract import CPU, SETTINGS, Parity, ParityAlways
from aelle_core.training import NetworkSettings, PackTrainer, available_ways, ways
from aelle_core.training.mini_batches import MiniBatch
from aelle_core.training.ways import get_way

OURS = {name for name, kind in cells.items() if kind.__module__.startswith("aelle_core.")}
PAIRS = [(name, way) for name in cells for way in available_ways(get_cell(name, 4, 8), CPU) if way != "packed"]


def trainer(
    name: str, way: str, task: Classification, settings: list[NetworkSettings] = SETTINGS, units: int = 19
) -> PackTrainer:
    return PackTrainer(get_cell(name, task.input_size, units), task, settings, batch_size=32, way=way)


def test_all_cells_have_a_way_besides_the_reference() -> None:
    assert {name for name, way in PAIRS if way == "compiled"} == OURS
    assert {name for name, way in PAIRS if way == "fused"} == {"rnn", "rnn_relu", "gru", "lstm"}


def drawn_targets(pack: PackTrainer, rows: int, seed: int) -> Tensor:
    """Classes for so many sequences of three networks, or for every step of them."""
    count = 9 * rows if pack.task.readout == "every" else rows
    return torch.randint(0, pack.task.classes, (3, count), generator=generator(seed, "targets"))


@pytest.mark.parametrize("truncations", [(None, None, None), (1, 4, None)])
@pytest.mark.parametrize("task", [Parity, ParityAlways])
@pytest.mark.parametrize(("name", "way"), PAIRS)
def test_losses_and_gradients_equal_those_of_autograd_in_double_precision(
    name: str, way: str, task: type[Classification], truncations: tuple[int | None, ...]
) -> None:
    check_way(way, cells[name], task(), truncations)


@pytest.mark.parametrize("task", [Parity, ParityAlways])
@pytest.mark.parametrize(("name", "way"), PAIRS)
def test_states_equal_those_in_double_precision(name: str, way: str, task: type[Classification]) -> None:
    pack = trainer(name, way, task())
    own_way, reference = (get_way(each, pack.cell, pack.task.readout, CPU) for each in (way, "packed"))
    double, constants = (
        {key: value.detach().double() for key, value in each.items()} for each in (pack.parameters, pack.constants)
    )
    for seed in (0, 1):
        inputs = torch.randn(3, 9, 37, 4, generator=generator(seed, "inputs"))
        with torch.no_grad():
            states = own_way.hidden(pack.parameters, pack.constants, MiniBatch(inputs))
        expected = reference.hidden(double, constants, MiniBatch(inputs.double()))
        torch.testing.assert_close(states.double(), expected, rtol=1e-5, atol=3e-6)


@pytest.mark.parametrize("task", [Parity, ParityAlways])
@pytest.mark.parametrize(("name", "way"), [*PAIRS, *((name, "packed") for name in cells)])
def test_codes_are_one_hot_inputs(name: str, way: str, task: type[Classification]) -> None:
    """Scores, losses and gradients from codes against those from the one-hot vectors that they stand for."""
    pack = trainer(name, way, task())
    own_way = get_way(way, pack.cell, pack.task.readout, CPU)
    codes = torch.randint(0, 4, (3, 9, 5), generator=generator(0, "codes"), dtype=torch.uint8)
    found = []
    for inputs in (codes, functional.one_hot(codes.long(), 4).float()):
        with torch.no_grad():
            scores = own_way.scores(pack.parameters, pack.constants, MiniBatch(inputs))
        losses = own_way.losses(pack.parameters, pack.constants, MiniBatch(inputs), drawn_targets(pack, 5, 0))
        found.append([scores, losses, *torch.autograd.grad(losses.sum(), list(pack.parameters.values()))])
    for own, wanted in zip(*found, strict=True):
        torch.testing.assert_close(own, wanted, rtol=1e-5, atol=5e-6 * wanted.abs().amax().item())


@pytest.mark.parametrize("classes", [2, 10, 16, 21])
def test_losses_of_large_and_broken_scores(classes: int) -> None:
    """Hundreds, whose exponentials overflow unless the largest is taken off, and scores that are no numbers."""
    task = Parity()
    task.classes = classes  # type: ignore[misc]
    pack = trainer("gru", "compiled", task)
    own_way, reference = (get_way(each, pack.cell, "last", CPU) for each in ("compiled", "packed"))
    inputs, targets = torch.randn(3, 9, 37, 4, generator=generator(0, "inputs")), drawn_targets(pack, 37, 0)
    with torch.no_grad():
        pack.parameters["readout_bias"][0] = 300.0 * torch.randn(classes, generator=generator(0, "bias"))
        pack.parameters["readout_bias"][1, -1] = float("nan")
        pack.parameters["readout_bias"][2, 0] = float("inf")
    both = []
    for each in (own_way, reference):
        losses = each.losses(pack.parameters, pack.constants, MiniBatch(inputs), targets)
        both.append([losses.detach(), torch.autograd.grad(losses[0], pack.parameters["readout_weight"])[0][0]])
    (losses, gradient), (expected, wanted) = both
    torch.testing.assert_close(losses, expected, rtol=1e-6, atol=1e-6, equal_nan=True)
    assert losses[1:].isnan().all()
    torch.testing.assert_close(gradient, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "way"), PAIRS)
def test_losses_equal_the_reference_over_fifty_steps(name: str, way: str) -> None:
    """Three mini-batches an epoch, the last one smaller: 17 epochs are 51 steps."""
    task = Parity()
    reference, other = trainer(name, "packed", task), trainer(name, way, task)
    for _ in range(17):
        torch.testing.assert_close(other.train_epoch(), reference.train_epoch(), rtol=1e-5, atol=1e-5)
    assert other.optimiser.steps == 51
    for one, two in zip(other.evaluate(task.splits.test), reference.evaluate(task.splits.test), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-5)


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
    for index, each in enumerate(SETTINGS):
        alone = trainer(name, way, task, [each])
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
    with pytest.raises(UserError, match=r"targets of torch\.float32: expected torch\.int64"):
        Examples(torch.zeros(3, 9, 4), torch.zeros(3))
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
    (found,) = torch.autograd.grad(first.sum(), weight)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_unknown_and_impossible_ways_are_refused() -> None:
    with pytest.raises(UserError, match=r"unknown way 'compild'.*did you mean 'compiled'"):
        trainer("gru", "compild", Parity())
    with pytest.raises(UserError, match=r"'fused' cannot train 'lem' on cpu: .*expected .*compiled, packed"):
        trainer("lem", "fused", Parity())
