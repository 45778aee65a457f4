"""Families of initial weights: what each is, and that their scales can be compared."""

import pytest
import torch

from aelle_core.cells import Cell, Network, cells, get_cell
from aelle_core.cells.initialisers import initialisers
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.random_streams import generator
from aelle_core.study import Study
from aelle_core.study.variants import cohorts


@pytest.mark.parametrize("family", [name for name in initialisers if name != "author"])
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
        if type(cell).initialise is not Cell.initialise or (family == "author" and not cell.has_author()):
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


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm", "lem"])
def test_authors_draw_between_one_over_the_root_of_the_units(name: str) -> None:
    drawn = get_cell(name, 3, 25).initialise(generator(0, "weights"), 7.0, "author")
    largest = max(value.abs().max().item() for value in drawn.values())
    assert 0.19 < largest <= 0.2


def test_torch_s_cells_draw_as_torch_s_layers() -> None:
    """The same bound and variance as torch.nn.GRU's own parameters."""
    drawn = get_cell("gru", 5, 100).initialise(generator(0, "weights"), 7.0, "author")
    for name, value in torch.nn.GRU(5, 100).named_parameters():
        own = drawn[name.removesuffix("_l0")]
        assert own.shape == value.shape
        assert own.std() == pytest.approx(value.std().item(), rel=0.1)


def test_cells_without_their_authors_draw_are_refused_before_training() -> None:
    with pytest.raises(UserError, match="cell 'asrnn' has none of its authors"):
        get_cell("asrnn", 3, 8).initialise(generator(0, "weights"), 0.3, "author")
    with pytest.raises(UserError, match="initialiser='author' for asrnn"):
        Study(cells=("gru", "asrnn"), ranges={"*": {"initialiser": ["author"]}})
    Study(cells=("gru", "lem", "lru", "exprnn"), ranges={"*": {"initialiser": ["author", "uniform"]}})


def test_decays_of_linear_units_are_their_authors_whatever_the_scale() -> None:
    for family in ("uniform", "author"):
        lru = get_cell("lru", 3, 4000).initialise(generator(0, "weights"), 0.01, family)
        square = torch.exp(-2 * torch.exp(lru["nu"]))
        assert square.mean() == pytest.approx(0.5, abs=0.03), "|lambda|^2 is uniform in (0, 1)"
        torch.testing.assert_close(torch.exp(2 * lru["log_gamma"]), 1 - square, atol=1e-5, rtol=1e-4)
        kept = (
            torch.sigmoid(get_cell("rglru", 3, 4000).initialise(generator(0, "weights"), 0.01, family)["Lambda"]) ** 8
        )
        assert kept.min() == pytest.approx(0.9, abs=1e-3)
        assert kept.max() == pytest.approx(0.999, abs=1e-3)


def test_authors_exprnn_starts_orthogonal_with_angles_up_to_pi() -> None:
    drawn = get_cell("exprnn", 3, 200).initialise(generator(0, "weights"), 0.01, "author")
    angles = torch.linalg.eigvals(drawn["S"] - drawn["S"].mT).imag.abs()
    assert 2.8 < angles.max() <= 3.1416
    assert angles.mean() == pytest.approx(1.57, abs=0.3)


@pytest.mark.parametrize("name", [name for name in cells if name != "esn"])
def test_the_input_gain_scales_what_the_inputs_drive_and_nothing_else(name: str) -> None:
    cell = get_cell(name, 3, 8)
    drawn = cell.initialise(generator(0, "weights"), 1.0)
    shaped = cell.shaped(drawn, input_gain=0.25)
    constants = {key: torch.full((1, 1, 1), value) for key, value in cell.defaults.items()}

    def drives(parameters: dict[str, torch.Tensor]) -> torch.Tensor:
        weights = cell.prepare({key: value[None] for key, value in parameters.items()}, constants)
        inputs = torch.eye(3)[None]
        return cell.drive(weights, inputs) - cell.drive(weights, 0 * inputs)

    torch.testing.assert_close(drives(shaped), 0.25 * drives(drawn))
    changed = [key for key in drawn if not torch.equal(drawn[key], shaped[key])]
    assert changed == [cell.input_weights]


@pytest.mark.parametrize(("name", "most"), [("lstm", 1.0), ("gru", 1.0), ("slstm", 0.5)])
def test_a_large_forget_bias_keeps_the_state(name: str, most: float) -> None:
    """`most` of it: sLSTM starts with a count of 1, so that its first input weighs as much as all before."""
    cell = get_cell(name, 3, 8)
    drawn = cell.initialise(generator(0, "weights"), 0.3)
    kept = cell.parts[1 if len(cell.parts) > 1 else 0]
    ratios = []
    for bias in (0.0, 8.0):
        weights = Network(cell, cell.shaped(drawn, forget_bias=bias)).prepare(torch.float64)
        state = cell.initial_state(1, 2, torch.empty(0, dtype=torch.float64))
        state[kept] += 0.4
        moved = cell.linearise(weights, cell.drive(weights, torch.zeros(1, 2, 3).double()), state)[1]
        ratios.append(float(moved[kept, kept].diagonal.mean()))
    assert ratios[0] < 0.8 * most
    assert ratios[1] == pytest.approx(most, rel=0.1)


def test_networks_of_a_study_draw_input_gain_and_forget_bias() -> None:
    study = Study(cells=("lstm", "rnn"), networks=3, ranges={"*": {"input_gain": [0.1, 1], "forget_bias": [0, 4]}})
    lstm, rnn = ([variant.settings for variant in cohort.packs[0].variants] for cohort in cohorts(study))
    assert all(0.1 <= settings.input_gain <= 1 and 0 <= settings.forget_bias <= 4 for settings in lstm)
    assert len({settings.forget_bias for settings in lstm}) == 3
    # A range for all cells passes by those without a forget gate.
    assert [settings.forget_bias for settings in rnn] == [0, 0, 0]
    assert not {"input_gain", "forget_bias"} & set(lstm[0].constants)
    cell = get_cell("lstm", 2, 4)
    weights = lstm[0].initial_weights(cell)
    drawn = cell.initialise(generator(lstm[0].seed, "weights"), lstm[0].scale)
    torch.testing.assert_close(weights["weight_ih"], lstm[0].input_gain * drawn["weight_ih"])
    with pytest.raises(UserError, match=r"ranges\['rnn'\] names 'forget_bias'"):
        Study(cells=("rnn",), ranges={"rnn": {"forget_bias": 1}})
    with pytest.raises(UserError, match="range of input_gain for rnn: 0: expected values above 0"):
        Study(cells=("rnn",), ranges={"rnn": {"input_gain": 0}})
    with pytest.raises(UserError, match="cell 'esn' names no input weights"):
        get_cell("esn", 2, 4).shaped({}, input_gain=2.0)
    with pytest.raises(UserError, match="cell 'rnn' has no forget gate"):
        get_cell("rnn", 2, 4).shaped({}, forget_bias=1.0)


def test_authors_slstm_forgets_at_every_rate_and_reads_no_past_state_at_first() -> None:
    drawn = get_cell("slstm", 10, 200).initialise(generator(0, "weights"), 7.0, "author")
    assert drawn["W"].var().item() == pytest.approx(2 / 50, rel=0.05)
    assert not drawn["R"].any()
    bias = drawn["b"].view(4, 200)
    assert not bias[[0, 2, 3]].any()
    assert (bias[1, 0].item(), bias[1, -1].item()) == pytest.approx((5, -7))
    assert bias[1, 100].item() == pytest.approx(5 - 12 * (100 / 199) ** 0.3)
    assert get_cell("slstm", 1, 1).initialise(generator(0, "weights"), 1.0, "author")["b"].isfinite().all()
