"""Ways that round more coarsely than float32: near it, told from it, and never taken unasked."""

from pathlib import Path

import pytest
import torch

from aelle_core.cells import cells, get_cell
from aelle_core.foundation.errors import UserError
from aelle_core.tasks import get_task
from aelle_core.training import (
    NetworkSettings,
    PackTrainer,
    Timing,
    WayTimings,
    Workload,
    available_ways,
    ways,
)
from aelle_core.training.ways import get_way
from aelle_core.training.ways.tf32 import TF32

TASK = get_task("digits")
CPU = torch.device("cpu")
SETTINGS = [NetworkSettings(seed, 0.3, 5e-3) for seed in range(3)]
TRAINED = [name for name in cells if issubclass(cells[name], PackTrainer.trains) and name != "rank1"]


def trainer(name: str, way: str) -> PackTrainer:
    return PackTrainer(get_cell(name, TASK.input_size, 12), TASK, SETTINGS, way=way)


@pytest.mark.parametrize("name", TRAINED)
def test_bfloat16_is_near_float32_and_is_not_float32(name: str) -> None:
    """8 bits keep a product to 1/256 of its terms: after one epoch from the same weights losses differ, a little."""
    exact, rounded = trainer(name, "packed"), trainer(name, "bfloat16")
    (*_, expected), (*_, result) = exact.run(1), rounded.run(1)
    assert result.alive.all()
    apart = (result.validation_loss - expected.validation_loss).abs()
    assert (apart > 1e-6).any()
    assert (apart < 0.02).all()
    for name_of, value in rounded.parameters.items():
        assert value.dtype == torch.float32
        fixed = rounded.cell.fixed and not name_of.startswith("readout")
        assert torch.equal(value, exact.parameters[name_of]) == fixed


def test_products_are_rounded_forward_and_backward_and_pointwise_steps_are_not() -> None:
    way = get_way("bfloat16", get_cell("rnn", 2, 3), "last", CPU)
    left = torch.tensor([[[1 + 2.0**-12, 3.0]]], requires_grad=True)
    right = torch.tensor([[[1.0], [2.0**-12]]], requires_grad=True)
    with way.arithmetic():
        product = torch.bmm(left, right)
        (product * torch.tensor(1 + 2.0**-12)).sum().backward()
        assert torch.tensor(1.0) + 2.0**-12 > 1
    assert product.item() == 1  # the sum is rounded as well: 3 * 2**-12 is below its last bit
    assert left.grad is not None
    assert left.grad.tolist() == [[[1.0, 2.0**-12]]]
    assert torch.bmm(left, right).item() > 1


def test_a_rounded_way_is_never_measured_and_never_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = get_cell("gru", TASK.input_size, 8)
    exact, every = available_ways(cell, CPU), available_ways(cell, CPU, rounded=True)
    assert set(every) - set(exact) == {"bfloat16"}
    timings, workload = WayTimings(PackTrainer, tmp_path), Workload.of(cell, TASK, 64, 2, CPU)
    assert set(timings.measure(workload)) == set(exact)
    held = dict.fromkeys(exact, Timing(1.0, 2))
    monkeypatch.setattr(timings, "read", lambda workload: held)
    monkeypatch.setattr(timings, "measure", lambda workload: pytest.fail("what is known was measured again"))
    assert timings.chosen(workload)[0] in exact


def test_tf32_is_of_gpus_alone_and_gives_torchs_setting_back() -> None:
    cell = get_cell("gru", TASK.input_size, 8)
    with pytest.raises(
        UserError, match=r"way 'tf32' cannot train 'gru' on cpu: only NVIDIA's GPUs have TF32; expected .*bfloat16"
    ):
        PackTrainer(cell, TASK, SETTINGS, way="tf32")
    assert TF32.obstacle(cell, torch.device("cuda")) is None
    assert ways["tf32"].rounded
    products = torch.backends.cuda.matmul
    before = products.allow_tf32
    with pytest.raises(KeyError), TF32(cell, "last", torch.device("cuda")).arithmetic():
        assert products.allow_tf32
        raise KeyError
    assert products.allow_tf32 == before
