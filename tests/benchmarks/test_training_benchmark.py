"""The training benchmark compares equal work and counts it right."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from aelle_core.cells import get_cell
from aelle_core.training import PackTrainer
from benchmarks.training import one_by_one
from benchmarks.training.shapes import CELLS, RandomSequences, Shape, settings_of

SMALL = {"units": 8, "steps": 5, "batch": 16, "features": 6}


@pytest.mark.parametrize("cell", CELLS)
def test_every_peer_has_our_losses(cell: str) -> None:
    losses_by_way = one_by_one.losses_of_all(Shape(cell, **SMALL))
    assert set(losses_by_way) >= {"ours", *one_by_one.ALONE, "ensemble of loops"}
    for way, losses in losses_by_way.items():
        torch.testing.assert_close(losses, losses_by_way["ours"], rtol=1e-5, atol=1e-6, msg=way)


def test_other_work_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_by_one, "LEARNING_RATE", 0.5)
    with pytest.raises(RuntimeError, match="not the same work"):
        one_by_one.check_equal_work("ornn")


# Without ornn: the products of its exponential, once a mini-batch, are seen by the counter and not counted here.
@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell != "ornn"])
def test_operations_equal_what_torch_counts(cell: str) -> None:
    shape, networks = Shape(cell, **SMALL), 3
    made = get_cell(cell, shape.features, shape.units)
    settings = settings_of(networks, shape.units)
    trainer = PackTrainer(made, RandomSequences(shape, 1), settings, batch_size=shape.batch)
    with FlopCounterMode(display=False) as counter:
        trainer.train_epoch()
    assert counter.get_total_flops() == networks * shape.operations
