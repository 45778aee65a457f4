"""The flow that screens: what it keeps is what it trains."""

import json
from pathlib import Path

import pytest

from aelle_core.study import RunDirectory, Study
from flows.parameters import Resources, ScreeningParameters, StudyParameters
from flows.screen import KEPT, screen

STUDY = Study(
    name="small",
    task_options={"pixels": 16},
    cells=("gru", "rnn"),
    units=(6,),
    epochs=1,
    pack_size=2,
    spectra=("hidden",),
)


def test_the_kept_networks_are_trained_and_no_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trained: list[Study] = []
    monkeypatch.setattr("flows.screen.train_networks", lambda plan, directory, resources: trained.append(plan))
    monkeypatch.setattr("flows.screen.create_table_artifact", lambda **given: tables.append(given["table"]))
    monkeypatch.setattr("flows.screen.completed", lambda run, result, sentence: result)
    tables: list[list[dict[str, str]]] = []
    asked = StudyParameters(**STUDY.to_dict())
    monkeypatch.setattr("flows.screen.rank", screen_rank())
    kept = Path(screen.fn(asked, str(tmp_path / "run"), ScreeningParameters(candidates=8, keep=3), Resources()))
    held = json.loads(kept.read_text())
    assert kept == RunDirectory(tmp_path / "run").path / KEPT
    (plan,) = trained
    assert plan.total_networks == 3
    assert Study.from_dict(held["study"]) == plan
    assert [row["network"] for row in held["kept"]] == [row["network"] for row in tables[0]]
    expected = [row["expected_loss"] for row in held["kept"]]
    assert expected == sorted(expected)
    assert [row["expected loss"] for row in tables[0]] == [f"{loss:.4g}" for loss in expected]
    assert all(heading == heading.replace("_", " ") for heading in tables[0][0])
    assert "learning rate" in tables[0][0]["settings"]
    ranked = Path(screen.fn(asked, str(tmp_path / "other"), ScreeningParameters(candidates=8, keep=2, train=False)))
    assert len(json.loads(ranked.read_text())["kept"]) == 2
    assert len(trained) == 1
    failed = screen.fn(asked, str(tmp_path / "third"), ScreeningParameters(candidates=8, keep=9))
    assert failed.is_failed()
    assert "keep=9: expected 1 to 8" in failed.message


def screen_rank() -> object:
    """The task's own function: without a server there are no task runs."""
    from flows.screen import rank

    return rank.fn
