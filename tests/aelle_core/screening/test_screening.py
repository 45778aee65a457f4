"""Screening: what a predictor learns, what is ranked, and what a replay finds, on sweeps whose truth is known."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn
from typer.testing import CliRunner

from aelle_core import screen
from aelle_core.cells import Network, get_cell
from aelle_core.cli.main import app
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.random_streams import generator
from aelle_core.screening import SpectrumPredictor, Sweep
from aelle_core.screening.replay import replay
from aelle_core.study import Study, get_preset
from aelle_core.study.candidates import drawn_candidates, kept_study
from aelle_core.study.variants import cohorts
from aelle_core.tasks import get_task


def made_sweep(count: int = 120, tells: bool = True) -> Sweep:
    """A sweep whose final loss is the distance of the largest exponent from 0, or, without `tells`, luck."""
    source = np.random.default_rng(0)
    largest = source.uniform(-1.0, 0.2, count)
    spectra = tuple(top - np.linspace(0, 2, 16) for top in largest)
    final = 0.1 + (np.abs(largest) if tells else source.permutation(np.abs(largest)))
    epochs = np.arange(9)
    losses = final[:, None] + source.uniform(0.5, 3.0, (count, 1)) * np.exp(-epochs)[None]
    losses[:, -1] = final
    drawn = tuple({"scale": float(s), "learning_rate": 0.01} for s in source.uniform(0.1, 1.0, count))
    return Sweep(spectra, losses, drawn, np.array(["gru", "lstm"])[np.arange(count) % 2], np.full(count, 16))


def test_a_predictor_learns_the_order_and_names_what_it_does_not_know() -> None:
    sweep = made_sweep()
    predictor = SpectrumPredictor(smoothing=False).fit(sweep.of(np.arange(80)))
    asked = sweep.of(np.arange(80, 120))
    predicted = predictor.predict(asked.spectra)
    assert spearmanr(predicted.loss, asked.final_loss).statistic > 0.95
    assert (predicted.spread >= 0).all()
    assert predicted.spread.mean() > 0
    assert (predicted.distance <= 1).mean() > 0.8
    assert (predictor.predict([np.linspace(9, 8, 16)]).distance > 1).all()
    assert predictor.cells == {"gru", "lstm"}


def test_smoothing_averages_over_similar_spectra_alone() -> None:
    sweep = made_sweep()
    plain, smooth = (SpectrumPredictor(smoothing=on).fit(sweep) for on in (False, True))
    spectra = [*sweep.spectra[:10], *sweep.spectra[:10]]
    unsmoothed, smoothed = plain.predict(spectra).loss, smooth.predict(spectra).loss
    assert np.ptp(smoothed[:10] - smoothed[10:]) == pytest.approx(0, abs=1e-9)
    assert np.std(smoothed) < np.std(unsmoothed)
    assert spearmanr(unsmoothed, smoothed).statistic > 0.9


def test_networks_layers_and_modules_are_ranked_together() -> None:
    class Own(nn.Module):
        hidden_size = 6

        def __init__(self) -> None:
            super().__init__()
            self.inner, self.outer = nn.Linear(6, 6), nn.Linear(3, 6)

        def forward(self, x: Tensor, h: Tensor) -> Tensor:
            return torch.tanh(self.inner(h) + self.outer(x))

    torch.manual_seed(0)
    cell = get_cell("lem", 3, 6)
    networks = [Network(cell, cell.initialise(generator(seed, "w"), 0.5), {"step": 0.5}) for seed in range(2)]
    candidates = [nn.GRU(3, 6), *networks, Own(), nn.LSTMCell(3, 6)]
    inputs = torch.rand(2, 9, 3)
    ranked = screen(candidates, inputs, SpectrumPredictor(smoothing=False).fit(made_sweep()))
    assert sorted(candidate.index for candidate in ranked) == list(range(5))
    assert [candidate.predicted for candidate in ranked] == sorted(candidate.predicted for candidate in ranked)
    alone = screen([candidates[1]], inputs, SpectrumPredictor(smoothing=False).fit(made_sweep()))
    same = next(candidate for candidate in ranked if candidate.index == 1)
    assert same.predicted == pytest.approx(alone[0].predicted)


def test_a_network_that_is_not_finite_comes_last() -> None:
    cell = get_cell("rnn", 2, 4)
    broken = {name: torch.full(shape, float("nan")) for name, shape in cell.parameter_shapes().items()}
    ranked = screen([Network(cell, broken), nn.RNN(2, 4)], torch.rand(1, 5, 2), SpectrumPredictor().fit(made_sweep()))
    assert [candidate.index for candidate in ranked] == [1, 0]
    assert np.isnan(ranked[1].predicted)
    assert ranked[1].unlike


@pytest.mark.parametrize(
    ("candidates", "options", "message"),
    [
        ([], {}, "expected a list of at least one network"),
        ([3], {}, "candidate 0 is a int"),
        ([nn.Linear(2, 2)], {}, "candidate 0, a Linear, has no hidden_size"),
        ([nn.GRU(2, 3, num_layers=2)], {}, "candidate 0 is a pack or has 2 layers"),
        ([nn.GRU(2, 3)], {"keep": 2}, "keep=2: expected a whole number from 1 to 1"),
        ([nn.GRU(2, 3)], {"learning_rate": -1.0}, "learning_rate"),
        ([nn.GRU(2, 3)], {"predictor": "nowhere"}, "'nowhere' is no directory and ships with no such name"),
        ([nn.GRU(2, 3)], {"predictor": SpectrumPredictor()}, "the predictor is not fitted"),
    ],
)
def test_what_cannot_be_screened_is_refused(candidates: list, options: dict, message: str) -> None:
    options = {"predictor": SpectrumPredictor().fit(made_sweep(40)), **options}
    with pytest.raises(UserError, match=message):
        screen(candidates, torch.rand(1, 4, 2), **options)


def test_a_replay_finds_spectra_worth_it_where_they_tell_the_loss_and_only_there() -> None:
    telling, blind = replay(made_sweep(), shares=(0.05, 0.1)), replay(made_sweep(tells=False), shares=(0.05, 0.1))
    assert telling.regret["spectrum"].mean() < telling.regret["random"].mean() / 2
    assert telling.verdict == "spectra: worth it here"
    assert blind.regret["spectrum"].mean() > telling.regret["spectrum"].mean()
    assert (np.diff(telling.regret["random"]) <= 0).all()
    with pytest.raises(UserError, match="a replay on 30 networks"):
        replay(made_sweep(30))


def test_a_replay_pays_for_the_spectra() -> None:
    cheap, dear = (replay(made_sweep(), price=price, shares=(0.05,)) for price in (0.0, 1.0))
    assert dear.regret["spectrum"][0] > cheap.regret["spectrum"][0]
    assert dear.regret["random"][0] == cheap.regret["random"][0]


def test_what_is_kept_is_a_study_of_the_same_networks() -> None:
    study = get_preset("digits").replace(cells=("gru", "rnn"), units=(4,))
    whole, drawn = drawn_candidates(study, get_task("digits", seed=0, options=study.task_options), 9)
    assert len(drawn) == 10
    kept = kept_study(whole, [drawn[1], drawn[3], drawn[7]])
    assert kept.chosen == {"gru 4": [1, 3], "rnn 4": [2]}
    assert kept.total_networks == 3
    again = [variant for cohort in cohorts(Study.from_dict(kept.to_dict())) for variant in cohort.packs[0].variants]
    assert again == [drawn[1].variant, drawn[3].variant, drawn[7].variant]
    assert "chosen" not in study.to_dict()  # the identity of studies without it stays
    with pytest.raises(UserError, match=r"chosen\['gru 4'\]=\[9\]"):
        whole.replace(chosen={"gru 4": [9]})


def test_candidates_are_the_networks_that_training_starts_with() -> None:
    from aelle_core.training import PackTrainer

    study = get_preset("digits").replace(cells=("gru",), units=(4,))
    task = get_task("digits", seed=0, options=study.task_options)
    whole, drawn = drawn_candidates(study, task, 3)
    variants = cohorts(whole)[0].packs[0].variants
    trainer = PackTrainer(drawn[0].network.cell, task, [variant.settings for variant in variants])
    for number, candidate in enumerate(drawn):
        for name, weights in candidate.network.parameters.items():
            assert torch.equal(weights, trainer.parameters[name][number].detach())


def test_optuna_starts_with_the_kept_candidates() -> None:
    optuna = pytest.importorskip("optuna", reason="needs the extra 'development'")
    from aelle_core.integrations.optuna import enqueue_ranked

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study()
    kept = [{"scale": 0.3, "learning_rate": 0.01}, {"scale": 0.5, "learning_rate": 0.02}]
    assert enqueue_ranked(study, kept) == 2
    assert enqueue_ranked(study, kept) == 0

    def objective(trial: "optuna.Trial") -> float:
        return trial.suggest_float("scale", 0.1, 1.0) + trial.suggest_float("learning_rate", 1e-3, 0.1)

    study.optimize(objective, n_trials=3)
    assert [trial.params for trial in study.trials[:2]] == kept
    with pytest.raises(UserError, match="study is a list"):
        enqueue_ranked([], kept)


def test_points_of_ray_tune_have_the_same_names() -> None:
    from aelle_core.integrations.ray_tune import points_to_evaluate

    assert points_to_evaluate([{"scale": 0.3}, {"scale": 0.4}]) == [{"scale": 0.3}, {"scale": 0.4}]
    with pytest.raises(UserError, match="point 1 has no rate"):
        points_to_evaluate([{"scale": 0.3, "rate": 1}, {"scale": 0.4}])


def test_the_command_ranks_and_writes_what_it_kept(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    arguments = ["screen", "digits", "--cells", "rnn", "--candidates", "6", "--keep", "2", "--no-replay"]
    done = CliRunner().invoke(app, [*arguments, "--output", str(kept)])
    assert done.exit_code == 0, done.output
    assert "6 candidates of rnn screened in" in done.output
    held = json.loads(kept.read_text())
    assert Study.from_dict(held["study"]).total_networks == 2
    assert held["kept"][0]["expected_loss"] <= held["kept"][1]["expected_loss"]
