"""The target, and a study of networks that learn it: stored, stopped, gone on with, analysed."""

from pathlib import Path

import numpy as np
import pytest
import torch

from aelle_core import lyapunov_spectrum
from aelle_core.analysis.prepare import prepare_analysis
from aelle_core.foundation.errors import UserError
from aelle_core.loading.networks import load
from aelle_core.study import Pack, RunDirectory, Study, run_study
from aelle_core.tasks import get_task
from aelle_core.tasks.target_learning import TargetLearning

STUDY = Study(
    name="target",
    task="target_learning",
    task_options={"period": 40, "test_periods": 2},
    cells=("rank1",),
    units=(16,),
    networks=12,
    pack_size=6,
    epochs=4,
    spectrum_epochs=(0, 2),
    exponents=5,
    threshold=0.62,
)


def test_fixed_target_is_four_sines() -> None:
    time = np.arange(1200) * 0.1
    base = np.pi / 60  # the published program's frequency: half a cycle in 60 time units
    expected = sum(a * np.sin(k * base * time) for a, k in ((1, 1), (1 / 2, 2), (1 / 6, 3), (1 / 3, 4))) * 1.3 / 1.5
    np.testing.assert_allclose(TargetLearning().target().numpy(), expected, atol=1e-12)
    assert TargetLearning().target().abs().mean().item() == pytest.approx(0.617, abs=5e-4)


def test_random_targets_follow_the_seed_and_keep_the_power() -> None:
    def target(seed: int) -> TargetLearning:
        return TargetLearning(seed=seed, amplitudes="random", frequencies="random")

    assert torch.equal(target(1).target(), target(1).target())
    assert not torch.equal(target(1).target(), target(2).target())
    for seed in range(5):
        assert len(set(target(seed).frequencies)) == 4
        power = target(seed).target().square().mean().item()
        assert power == pytest.approx(TargetLearning().target().square().mean().item())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"amplitudes": "loud"}, "amplitudes='loud': expected 'fixed' or 'random'"),
        ({"period": 5}, "period=5: expected a whole number from 13"),
        ({"learn_every": 0}, "learn_every=0: expected a whole number from 1 to 1200"),
        ({"test_periods": True}, "test_periods=True: expected a whole number"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        get_task("target_learning", options=options)


def test_studies_that_cannot_be_are_refused() -> None:
    with pytest.raises(UserError, match="cell 'gru' cannot learn 'target_learning': expected one of rank1"):
        STUDY.replace(cells=["gru"])
    with pytest.raises(UserError, match=r"ranges\['rank1'\] names 'clip'"):
        STUDY.replace(ranges={"rank1": {"clip": 1.0}})
    with pytest.raises(UserError, match=r"threshold=-1: expected a number above 0"):
        STUDY.replace(threshold=-1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    run = RunDirectory(tmp_path_factory.mktemp("target") / "run")
    run_study(STUDY, run)
    return run


def test_every_epoch_is_stored_and_spectra_in_those_chosen(finished: RunDirectory) -> None:
    rows = finished.store.read().to_pylist()
    assert len(rows) == 12 * 5
    for row in rows:
        assert (row["spectrum_hidden"] is not None) == (row["epoch"] in (0, 2, 4))
        assert row["spectrum_hidden"] is None or len(row["spectrum_hidden"]) == 5
        assert row["validation_accuracy"] is None
        assert (row["test_loss"] is not None) == (row["epoch"] == 4)
        assert set(dict(row["hyperparameters"])) == {"scale", "learning_rate"}
    assert all(row["test_loss"] == row["validation_loss"] for row in rows if row["epoch"] == 4)


def test_a_study_that_was_stopped_goes_on_with_the_same_numbers(finished: RunDirectory, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")

    def stop(pack: Pack, epoch: int) -> None:
        if pack.name.endswith("0001") and epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(STUDY, run, on_epoch=stop)
    assert run.store.read().num_rows == 6 * 5 + 6 * 3
    run_study(STUDY, run)
    keys = [("epoch", "ascending"), ("network", "ascending")]
    assert run.store.read().sort_by(keys).equals(finished.store.read().sort_by(keys))


def test_the_studys_threshold_decides_who_ended_well(finished: RunDirectory) -> None:
    analysis = prepare_analysis(finished.store, STUDY, splits=2, seed=0)
    assert analysis.threshold == 0.62
    assert sorted(analysis.examples) == [0, 2, 4]
    with pytest.raises(UserError, match="are on one side of the threshold 1000: expected networks on both"):
        prepare_analysis(finished.store, _same_identity(STUDY, 1000.0), splits=2, seed=0)


def _same_identity(study: Study, threshold: float) -> Study:
    """The study judged by another threshold: what is stored stays its own."""

    class Judged(Study):
        identity = study.identity  # type: ignore[assignment]

    return Judged.from_dict({**study.to_dict(), "threshold": threshold})


def test_a_network_of_a_checkpoint_starts_where_training_ended(finished: RunDirectory) -> None:
    row = next(row for row in finished.store.read(epoch=4).to_pylist() if row["network"] == "rank1-16-00007")
    loaded = load(finished.checkpoint("rank1-16-pack0001"), None, network="rank1-16-00007")
    spectrum = lyapunov_spectrum(loaded.system, loaded.inputs, initial_state=loaded.initial_state, k=5, check=False)
    np.testing.assert_allclose(spectrum.exponents, row["spectrum_hidden"], rtol=1e-6, atol=1e-7)
