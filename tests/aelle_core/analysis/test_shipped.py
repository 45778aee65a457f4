"""The tables of the studies that ship, and `aelle paper` without a run."""

import csv
import dataclasses
from pathlib import Path

import pytest
from scipy.stats import spearmanr
from typer.testing import CliRunner

from aelle_core.analysis.kept_tables import MAKERS_VERSION, read_tables, tables_recipe
from aelle_core.analysis.prepare import prepare_joint_analysis
from aelle_core.analysis.shipped import studies as shipped
from aelle_core.analysis.shipped.__main__ import SETTINGS
from aelle_core.analysis.shipped.studies import shipped_name, shipped_studies, shipped_tables
from aelle_core.analysis.trained import joint_examples
from aelle_core.cli.main import app
from aelle_core.evaluation.tables.base import Entry, Table, table_makers
from aelle_core.evaluation.tables.material import Material
from aelle_core.evaluation.tables.paper_and_us import comparison
from aelle_core.evaluation.tables.paper_numbers import paper_tasks
from aelle_core.foundation.errors import UserError
from aelle_core.pretrained import manifest, shipped_file
from aelle_core.study import get_preset

NAMES = sorted(manifest())


@pytest.mark.parametrize("name", NAMES)
def test_tables_that_ship_are_of_the_spectra_beside_them(name: str) -> None:
    trained = shipped_studies(name)
    analysis = prepare_joint_analysis(trained, splits=10, seed=0)
    assert len(analysis.examples[trained[0].study.epochs]) == manifest()[name]["networks"]
    assert analysis.threshold == manifest()[name]["threshold"]
    with shipped_file(name, "tables") as path:
        origin, tables = read_tables(path)
    recipe = tables_recipe(trained[0].study, analysis, SETTINGS)
    assert {key: origin[key] for key in recipe} == recipe
    assert origin["makers"] == MAKERS_VERSION, (
        f"made by other code: expected `python -m aelle_core.analysis.shipped {name}`"
    )
    assert [table.name for table in tables] == sorted(
        table_makers, key=lambda table_name: table_makers[table_name].order
    )


def test_a_table_that_ships_is_what_its_spectra_give() -> None:
    trained = shipped_studies("target")
    analysis = prepare_joint_analysis(trained, splits=10, seed=0)
    made = Material("target_learning", {"hidden": analysis.examples}, analysis.threshold, 10, 0, {"target": "rank"})
    again = table_makers["end_of_training"]().make(made)
    held = next(table for table in shipped_tables("target", SETTINGS) if table.name == again.name)
    assert again.caption == held.caption
    assert again.remarks == held.remarks
    for entry, kept in zip(again.entries, held.entries, strict=True):
        assert (entry.row, entry.metric, entry.column, entry.paper) == (kept.row, kept.metric, kept.column, kept.paper)
        assert entry.mean == pytest.approx(
            kept.mean, abs=0.02, nan_ok=True
        )  # libraries of other versions round in other ways


def test_a_study_that_ships_is_its_preset_but_for_its_seed_and_the_place_of_its_data() -> None:
    for name in ("char", "digits", "smnist", "target"):
        study = shipped_studies(name)[0].study
        assert study == get_preset(study.name).replace(seed=study.seed)
        assert shipped_name(study.name) == shipped_name(name) == name
    assert shipped_name("paper-target") is None
    with pytest.raises(UserError, match=r"unknown shipped study 'mnist': expected one of char, .*digits, .*'smnist'"):
        shipped_studies("mnist")


def test_other_settings_make_the_tables_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, object]] = []
    monkeypatch.setattr(shipped, "tables_of_studies", lambda trained, settings: made.append(settings) or [])
    assert shipped_tables("target", SETTINGS)
    assert made == []
    assert shipped_tables("target", {**SETTINGS, "splits": 3}) == []
    assert shipped_tables("target", SETTINGS, anew=True) == []
    assert [settings["splits"] for settings in made] == [3, 10]


def test_aelle_paper_alone_shows_all_that_ships_beside_the_paper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["paper", "--output", "pages"])
    assert done.exit_code == 0, done.output
    for name in NAMES:
        assert f"{name} ({shipped_studies(name)[0].study.identity}): " in done.output
    with (tmp_path / "pages" / "paper.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["table"] for row in rows} == {f"comparison_{task}" for task in paper_tasks()}
    printed = {(row["column"], row["row"], row["metric"]): row["paper"] for row in rows if row["paper"]}
    assert printed["small-char", "LE max, median, at the end", "f1"] == "0.859"
    one_epoch = "small-smnist", "AeLLE pre-trained, epoch 1"
    precision, recall, f1 = (float(printed[*one_epoch, metric]) for metric in ("precision", "recall", "f1"))
    assert (precision, recall) == (0.836, 0.915)
    assert f1 == pytest.approx(2 * precision * recall / (precision + recall), abs=5e-4)
    pages = {f"{shipped_studies(name)[0].study.name}.md" for name in NAMES} | {"digits-seeds.md", "paper.md"}
    assert {path.name for path in (tmp_path / "pages").glob("*.md")} == pages


def test_numbers_are_whole_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = CliRunner().invoke(app, ["paper", "forecasters"])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert "forecasters-" in lines[0]
    cut = [line for line in lines[1:] if "…" in line]
    assert not cut


def test_the_comparison_counts_on_which_side_the_paper_lies() -> None:
    def one(row: str, paper: float | None, low: float, high: float) -> Entry:
        return Entry(row, "f1", "end of training", (low + high) / 2, low, high, paper)

    entries = [one("a", 0.5, 0.4, 0.6), one("b", 0.7, 0.4, 0.6), one("c", 0.3, 0.4, 0.6), one("d", 0.9, 0.4, 0.6)]
    entries += [one("no number", None, 0.4, 0.6), one("cell and hyperparameters", None, 0.8, 0.9)]
    table = Table("end_of_training", "", "", entries)
    tables = comparison([("smnist", "ours", [table]), ("digits", "other", [dataclasses.replace(table, entries=[])])])
    assert [compared.name for compared in tables] == ["comparison_smnist"]
    expected = "ours: of 4 numbers of the paper 1 lie within our intervals, 2 above them and 1 below."
    assert list(tables[0].remarks) == [expected]
    assert [row for row, _ in tables[0].rows()] == [
        "a, at the end", "b, at the end", "c, at the end", "d, at the end", "cell and hyperparameters, at the end",
    ]  # fmt: skip


def test_forecasters_are_judged_by_another_measure_on_demand() -> None:
    own, other = ([shipped_studies("lorenz")[0].by(goal)] for goal in ("climate", "valid_prediction_time"))
    by_climate, by_time = (joint_examples(trained)[0][8] for trained in (own, other))
    assert by_climate.goal == "climate"
    assert by_time.goal == "valid_prediction_time"
    assert by_time.networks.tolist() == by_climate.networks.tolist()
    assert bool((by_time.final_loss <= 1).all())  # 1 / (1 + time)
    assert abs(spearmanr(by_time.final_loss, by_climate.final_loss).statistic) < 0.99
    with pytest.raises(UserError, match="task 'digits' has no free runs"):
        shipped_studies("digits")[0].by("climate")
    with pytest.raises(UserError, match="did you mean 'climate'"):
        shipped_studies("lorenz")[0].by("climat")
