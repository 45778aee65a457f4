"""What every way of training must do, for every cell that it takes: the numbers of the reference."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from aelle_core.cells import cells, get_cell
from aelle_core.errors import UserError
from aelle_core.streams import generator
from aelle_core.tasks import Classification, Examples, Splits
from aelle_core.training import NetworkSettings, PackTrainer, available_ways, ways
from aelle_core.training.truncation import cuts
from aelle_core.training.ways import get_way

CPU = torch.device("cpu")
PAIRS = [(name, way) for name in cells for way in available_ways(get_cell(name, 4, 8), CPU) if way != "packed"]
# Constants and scales differ between networks: a way that mixes its networks up is found out.
SETTINGS = [NetworkSettings(seed, 0.2 + 0.1 * seed, 2e-3 * (seed + 1), clip=0.1 + seed) for seed in range(3)]


class Parity(Classification):
    """Is the sum of a random sequence above zero: after the last step, or so far."""

    name = "parity"
    classes = 2
    input_size = 4
    steps = 9

    def load(self) -> Splits:
        inputs = torch.randn(100, self.steps, self.input_size, generator=generator(self.seed, "parity"))
        sums = (inputs.sum(dim=2).cumsum(dim=1) > 0).long()
        targets = sums if self.readout == "every" else sums[:, -1]
        parts = [Examples(inputs[part], targets[part]) for part in (slice(0, 70), slice(70, 85), slice(85, 100))]
        return Splits(*parts)


class ParityAlways(Parity):
    readout = "every"


def trainer(
    name: str, way: str, task: Classification, settings: list[NetworkSettings] = SETTINGS, units: int = 19
) -> PackTrainer:
    return PackTrainer(get_cell(name, task.input_size, units), task, settings, batch_size=32, way=way)


def test_all_cells_have_a_way_besides_the_reference() -> None:
    assert {name for name, way in PAIRS if way == "compiled"} == set(cells)
    assert {name for name, way in PAIRS if way == "fused"} == {"rnn", "rnn_relu", "gru", "lstm"}


@pytest.mark.parametrize("truncations", [(None, None, None), (1, 4, None)])
@pytest.mark.parametrize("task", [Parity, ParityAlways])
@pytest.mark.parametrize(("name", "way"), PAIRS)
def test_gradients_equal_those_of_autograd_in_double_precision(
    name: str, way: str, task: type[Classification], truncations: tuple[int | None, ...]
) -> None:
    """The cell's own step under autograd in float64 against the way in float32, twice: memory is used again."""
    pack, stops = trainer(name, way, task()), cuts(truncations, 9)
    for seed in (0, 1):
        inputs = torch.randn(3, 9, 5, 4, generator=generator(seed, "inputs"))
        noise = None
        if pack.cell.noise_channels:
            noise = torch.randn(3, 9, 5, 19 * pack.cell.noise_channels, generator=generator(seed, "noise"))
        outputs = pack.way.hidden(pack.parameters, pack.constants, inputs, noise, stops)
        direction = torch.randn(outputs.shape, generator=generator(seed, "direction"))
        names = list(pack.cell.parameter_shapes())
        found = torch.autograd.grad((outputs * direction).sum(), [pack.parameters[each] for each in names])
        double = {key: value.detach().double().requires_grad_() for key, value in pack.parameters.items()}
        constants = {key: value.double() for key, value in pack.constants.items()}
        reference = get_way("packed", pack.cell, pack.task.readout, CPU)
        wide = None if noise is None else noise.double()
        expected = reference.hidden(double, constants, inputs.double(), wide, stops)
        torch.testing.assert_close(outputs.double(), expected, rtol=1e-5, atol=3e-6)
        gradients = torch.autograd.grad((expected * direction).sum(), [double[each] for each in names])
        for key, own, wanted in zip(names, found, gradients, strict=True):
            scale = max(wanted.abs().amax().item(), 1e-6)  # one step back, the weights of the state may get none
            torch.testing.assert_close(
                own.double(), wanted, rtol=1e-5, atol=5e-6 * scale, msg=lambda m, k=key: f"{k}: {m}"
            )


@pytest.mark.parametrize(("name", "way"), [*PAIRS, *((name, "packed") for name in cells)])
def test_codes_are_one_hot_inputs(name: str, way: str) -> None:
    """States and gradients from codes against those from the one-hot vectors that they stand for."""
    pack = trainer(name, way, ParityAlways())
    codes = torch.randint(0, 4, (3, 9, 5), generator=generator(0, "codes"), dtype=torch.uint8)
    found = []
    for inputs in (codes, functional.one_hot(codes.long(), 4).float()):
        outputs = pack.way.hidden(pack.parameters, pack.constants, inputs)
        weighted = outputs * torch.randn(outputs.shape, generator=generator(0, "direction"))
        parameters = [pack.parameters[each] for each in pack.cell.parameter_shapes()]
        found.append([outputs.detach(), *torch.autograd.grad(weighted.sum(), parameters)])
    for own, wanted in zip(*found, strict=True):
        torch.testing.assert_close(own, wanted, rtol=1e-5, atol=5e-6 * wanted.abs().amax().item())


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
    for name in cells:
        if (name, way) not in PAIRS and way != "packed":
            continue
        pack, healthy = trainer(name, way, task), trainer(name, way, task, [SETTINGS[0], SETTINGS[2]])
        for parameter in list(pack.parameters.values()):
            with torch.no_grad():
                parameter[1] = broken
        losses, expected = pack.train_epoch(), healthy.train_epoch()
        torch.testing.assert_close(losses[[0, 2]], expected, rtol=1e-6, atol=1e-6)
        assert pack.optimiser.alive[[0, 2]].all()
        for key, value in pack.parameters.items():
            torch.testing.assert_close(value[[0, 2]], healthy.parameters[key], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "way"), [pair for pair in PAIRS if pair[0] in ("lstm", "noisy", "lem", "rnn")])
def test_a_pack_equals_networks_on_their_own(name: str, way: str) -> None:
    task = Parity()
    together = trainer(name, way, task)
    losses = torch.stack([together.train_epoch() for _ in range(3)])
    for index, each in enumerate(SETTINGS):
        alone = trainer(name, way, task, [each])
        own = torch.stack([alone.train_epoch()[0] for _ in range(3)])
        torch.testing.assert_close(own, losses[:, index], rtol=1e-5, atol=1e-6)


def test_the_backward_pass_of_an_overwritten_batch_is_refused() -> None:
    pack = trainer("gru", "compiled", Parity())

    def hidden(seed: int) -> Tensor:
        return pack.way.hidden(pack.parameters, {}, torch.randn(3, 9, 5, 4, generator=generator(seed, "inputs")))

    first = hidden(0)
    hidden(1)
    with pytest.raises(RuntimeError, match="older mini-batch"):
        first.sum().backward()


def test_unknown_and_impossible_ways_are_refused() -> None:
    with pytest.raises(UserError, match=r"unknown way 'compild'.*did you mean 'compiled'"):
        trainer("gru", "compild", Parity())
    with pytest.raises(UserError, match=r"'fused' cannot train 'lem' on cpu: .*expected compiled, packed"):
        trainer("lem", "fused", Parity())
