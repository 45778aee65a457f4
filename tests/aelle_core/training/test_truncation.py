"""Truncated backpropagation through time, against stretches that are differentiated one by one."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from aelle_core.cells import Cell, get_cell
from aelle_core.foundation.random_streams import generator
from aelle_core.tasks import get_task
from aelle_core.training import NetworkSettings, PackTrainer
from aelle_core.training.gradient.truncation import cuts
from aelle_core.training.mini_batches import MiniBatch
from aelle_core.training.ways import Readout, get_way
from tests.helpers.spectra import stacked

CPU = torch.device("cpu")
STEPS = 7


def test_gradients_stop_at_every_stretch_counted_from_the_end() -> None:
    marks_by_step = cuts([None, 3, 7, 2], 7)
    assert {step: marks.tolist() for step, marks in sorted(marks_by_step.items())} == {
        0: [False, True, False, True],
        2: [False, False, False, True],
        3: [False, True, False, False],
        4: [False, False, False, True],
    }
    assert cuts([None, 7, 100], 7) == {}


def one_by_one(
    cell: Cell, parameters: dict[str, Tensor], inputs: Tensor, targets: Tensor, truncation: int
) -> dict[str, Tensor]:
    """The gradient of one network's mean loss against targets (steps read out, batch): each stretch has a backward pass
    of its own, and starts from numbers."""
    parameters = {key: value.clone().requires_grad_() for key, value in parameters.items()}
    state = cell.initial_state(1, inputs.shape[2], like=inputs)
    first = STEPS % truncation
    stretches = [range(first), *(range(at, at + truncation) for at in range(first, STEPS, truncation))]
    for stretch in stretches:
        state = {key: value.detach() for key, value in state.items()}
        prepared = cell.prepare(parameters, {})
        total = torch.zeros(())
        for time in stretch:
            state = cell.step(prepared, cell.drive(prepared, inputs[:, time]), state)
            if (read_out := time - STEPS + len(targets)) >= 0:
                scores = state[cell.parts[0]][0] @ parameters["readout_weight"][0].T + parameters["readout_bias"][0]
                total = total + functional.cross_entropy(scores, targets[read_out]) / len(targets)
        if total.requires_grad:
            total.backward()
    return {key: torch.zeros_like(value) if value.grad is None else value.grad for key, value in parameters.items()}


@pytest.mark.parametrize("readout", ["last", "every"])
@pytest.mark.parametrize("way", ["packed", "compiled", "fused"])
@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_gradients_are_those_of_stretches(name: str, way: str, readout: Readout) -> None:
    cell = get_cell(name, 3, 6)
    truncations = [1, 3, 5]
    drawn = [cell.initialise(generator(seed, "weights"), 0.7) for seed in range(3)]
    parameters = stacked(drawn)
    for key, shape in {"readout_weight": (3, 5, 6), "readout_bias": (3, 5)}.items():
        parameters[key] = torch.randn(shape, generator=generator(0, key))
    inputs = torch.randn(3, STEPS, 4, 3, generator=generator(0, "inputs"))
    targets = torch.randint(0, 5, (3, STEPS if readout == "every" else 1, 4), generator=generator(0, "targets"))
    leaves = {key: value.clone().requires_grad_() for key, value in parameters.items()}
    stops = cuts(truncations, STEPS)
    get_way(way, cell, readout, CPU).losses(
        leaves, {}, MiniBatch(inputs, cuts=stops), targets.flatten(1)
    ).sum().backward()
    for network, truncation in enumerate(truncations):
        own = {key: value[network : network + 1] for key, value in parameters.items()}
        expected = one_by_one(cell, own, inputs[network : network + 1], targets[network], truncation)
        for key, wanted in expected.items():
            gradient = leaves[key].grad
            assert gradient is not None
            torch.testing.assert_close(gradient[network : network + 1], wanted, rtol=1e-5, atol=1e-6)


def test_truncation_changes_what_a_pack_learns_and_a_whole_sequence_does_not() -> None:
    task = get_task("digits")

    def losses(truncation: int | None) -> Tensor:
        settings = [NetworkSettings(0, 0.2, 3e-3, truncation=truncation), NetworkSettings(1, 0.2, 3e-3)]
        pack = PackTrainer(get_cell("gru", task.input_size, 8), task, settings)
        pack.train_epoch()
        return pack.train_epoch()

    whole, short, all_steps = losses(None), losses(1), losses(task.steps)
    torch.testing.assert_close(all_steps, whole)
    assert abs(short[0] - whole[0]) > 1e-3
    torch.testing.assert_close(short[1], whole[1])
