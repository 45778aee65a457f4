"""Families of initial weights: what each is, and that their scales can be compared."""

import pytest
import torch

from aelle_core.cells import Cell, cells, get_cell
from aelle_core.cells.initialisers import initialisers
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.random_streams import generator


@pytest.mark.parametrize("family", list(initialisers))
def test_every_family_has_the_variance_of_the_uniform_one(family: str) -> None:
    for shape in [(400, 100), (400, 7), (100, 300)]:
        drawn = initialisers[family].draw(shape, 0.3, 100, generator(0, f"{shape}"))
        assert drawn.shape == shape
        assert drawn.dtype == torch.float32
        assert drawn.std().item() == pytest.approx(0.3 / 3**0.5, rel=0.03)
        assert abs(drawn.mean().item()) < 0.02


def test_blocks_of_the_orthogonal_family_are_orthogonal_gate_by_gate() -> None:
    drawn = initialisers["orthogonal"].draw((4 * 12, 12), 0.5, 12, generator(0, "weights"))
    for block in drawn.split(12):
        torch.testing.assert_close(block @ block.mT, torch.eye(12) * 0.25 * 12 / 3, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(drawn[:12], drawn[12:24])


@pytest.mark.parametrize("family", list(initialisers))
def test_cells_draw_from_the_family_reproducibly(family: str) -> None:
    for name in cells:
        cell = get_cell(name, 3, 8)
        if type(cell).initialise is not Cell.initialise:
            continue
        first, again = (cell.initialise(generator(4, "weights"), 0.3, family) for _ in range(2))
        assert {key: tuple(value.shape) for key, value in first.items()} == cell.parameter_shapes()
        assert all(torch.equal(first[key], again[key]) for key in first)
        assert all(value.isfinite().all() for value in first.values())


def test_unknown_families_and_cells_without_a_choice_are_refused() -> None:
    with pytest.raises(UserError, match=r"unknown initialiser 'norml'.*did you mean 'normal'"):
        get_cell("gru", 3, 8).initialise(generator(0, "weights"), 0.3, "norml")
    with pytest.raises(UserError, match=r"initialiser='normal': cell 'rank1' has a distribution of its own"):
        get_cell("rank1", 3, 8).initialise(generator(0, "weights"), 1.5, "normal")
