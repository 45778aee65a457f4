"""What tells good free runs, on networks whose closed loops tell it from a known epoch on."""

from dataclasses import replace

import numpy as np
import pytest

from aelle_core.evaluation import NetworkExamples
from aelle_core.evaluation.examples import origins
from aelle_core.evaluation.tables.base import Table, table_makers
from aelle_core.evaluation.tables.material import Material
from aelle_core.evaluation.verdicts import gain

COUNT, EPOCHS, TELLING = 90, (0, 1, 2, 3), 2
FAST = {"steps": 60, "members": 2}


def networks(epoch: int, *, tells: bool) -> NetworkExamples:
    """Networks of three seeds, half of them good; where the spectrum `tells`, good ones have lower exponents."""
    random = np.random.default_rng([epoch, tells])
    good = np.arange(COUNT) % 2 == 0
    level = np.where(good, -3.0, -1.0) if tells else random.uniform(-3, -1, COUNT)
    return NetworkExamples(
        spectra=level[:, None] + np.linspace(0, -1, 6) + 0.05 * random.standard_normal((COUNT, 6)),
        loss=random.uniform(0.1, 1, COUNT),
        final_loss=np.where(good, 0.5, 2.0) + 0.01 * np.arange(COUNT) / COUNT,
        accuracy=np.full(COUNT, np.nan),
        cells=np.array(["gru", "esn"])[np.arange(COUNT) // 2 % 2],
        units=np.full(COUNT, 8),
        hyperparameters={"scale": np.random.default_rng(0).uniform(0.1, 1, COUNT)},
        networks=np.array([f"study-{index % 3}/n{index:03d}" for index in range(COUNT)]),
        epoch=epoch,
        goal="climate",
    )


@pytest.fixture(scope="module")
def material() -> Material:
    loop = {epoch: networks(epoch, tells=epoch >= TELLING) for epoch in EPOCHS}
    driven = {epoch: networks(epoch, tells=False) for epoch in EPOCHS}
    return Material("forecast", {"closed_loop": loop, "full": driven}, 1.0, 4, 0, FAST)


@pytest.mark.parametrize("name", ["free_runs", "free_runs_left_out"])
def test_every_epoch_has_a_column(material: Material, name: str) -> None:
    table = table_makers[name]().make(material)
    assert table.columns() == [f"epoch {epoch}" for epoch in EPOCHS]
    f1 = [_f1(table, "closed-loop spectrum", epoch) for epoch in EPOCHS]
    assert max(f1[:TELLING]) < 0.8 < 0.95 < min(f1[TELLING:])
    assert _f1(table, "driven spectrum", EPOCHS[-1]) < 0.8
    assert any(
        words.startswith("At the end of training, 'closed-loop spectrum' does better") for words in table.remarks
    )


def test_the_words_say_from_when_on_the_closed_loop_is_ahead(material: Material) -> None:
    maker = table_makers["free_runs"]()
    table = maker.make(material)
    ahead = [gain(maker._measured, "closed-loop spectrum", "driven spectrum", epoch)[1] > 0 for epoch in EPOCHS]  # type: ignore[attr-defined]
    assert ahead == [False, False, True, True]
    assert (
        f"From epoch {TELLING} on 'closed-loop spectrum' has a higher F1 than 'driven spectrum' at every epoch."
        in table.remarks
    )


def test_networks_are_from_their_study_or_their_system(material: Material) -> None:
    assert sorted(set(origins(material.final))) == ["study-0", "study-1", "study-2"]
    named = replace(material.final, networks=np.array([f"rossler/{name}" for name in material.final.networks]))
    assert set(origins(named)) == {"rossler"}
    alone = replace(material.final, networks=np.array([name.split("/")[1] for name in material.final.networks]))
    assert set(origins(alone)) == {""}
    single = Material("forecast", {"closed_loop": {0: alone}}, 1.0, 2, 0, FAST)
    reason = table_makers["free_runs_left_out"]().make(single).remarks[0]
    assert reason.startswith("Not made: leaving one out needs studies of at least two seeds, or of two systems")


def _f1(table: Table, row: str, epoch: int) -> float:
    entry = table.at(row, "f1", f"epoch {epoch}")
    assert entry is not None
    return entry.mean
