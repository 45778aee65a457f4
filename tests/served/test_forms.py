"""The forms: what they offer, and the study that comes of them."""

from pathlib import Path
from typing import Any

import pytest
from prefect.utilities.callables import parameter_schema, parameter_schema_from_entrypoint
from prefect.utilities.schema_tools.validation import validate
from pydantic import ValidationError

from aelle_core.cells import cells
from aelle_core.foundation.errors import UserError
from aelle_core.study import get_preset, presets
from aelle_core.tasks import tasks
from flows.served.forms import Changes, PackResources, resources
from flows.served.settings import ServedSettings

FORMS = ("study", "sweep", "analyse", "nightly", "compact", "screen")


@pytest.fixture
def settings(tmp_path: Path) -> ServedSettings:
    (tmp_path / "novel.txt").write_text("It is a truth universally acknowledged, " * 2000)
    return ServedSettings(runs=str(tmp_path / "runs"), data=tmp_path, ray_address="ray-head:6379")


def form(name: str) -> dict[str, Any]:
    """What the UI is given."""
    return parameter_schema_from_entrypoint(f"flows.served.deployed_{name}.{name}").model_dump_for_openapi()


@pytest.mark.parametrize("name", FORMS)
def test_every_field_is_described_and_none_is_required(name: str) -> None:
    schema = form(name)
    assert not schema.get("required")
    for entry in schema["properties"].values():
        assert "$ref" in entry or entry["description"]
        assert "default" in entry
    for model in schema.get("definitions", {}).values():
        assert model["description"]
        assert not model.get("required")
        assert all(entry["description"] for entry in model["properties"].values())
        if model["title"] != "CohortResources":  # typed as JSON; elsewhere the UI would show tabs
            assert not any("anyOf" in entry for entry in model["properties"].values())


def test_drop_downs_and_bounds() -> None:
    schema = form("study")
    assert schema["properties"]["preset"]["enum"] == list(presets())
    changes = schema["definitions"]["Changes"]["properties"]
    assert changes["cells"]["items"]["enum"] == list(cells)
    assert changes["task"]["enum"] == ["as in the preset", *tasks]
    assert changes["task"]["default"] == "as in the preset"
    assert (changes["networks"]["minimum"], changes["networks"]["maximum"]) == (1, 1_000_000)
    quantities = schema["definitions"]["RangeChange"]["properties"]["quantity"]["enum"]
    assert {"scale", "learning_rate", "clip", "gamma"} <= set(quantities)


def test_no_form_names_a_path_or_an_address() -> None:
    for name in FORMS:
        text = str(form(name))
        for word in ("directory'", "ray_address", "task_options"):
            assert word not in text


def test_the_form_as_it_is_runs_the_preset(settings: ServedSettings) -> None:
    for name in presets():
        if name != "paper-char":  # its text is not carried along
            assert Changes().study(name, settings) == get_preset(name)


def test_changes(settings: ServedSettings) -> None:
    changes = Changes(
        networks=4,
        cells=["gru", "cornn"],
        seed=7,
        ranges=[
            {"quantity": "learning_rate", "low": 1e-4, "high": 1e-3},
            {"cell": "cornn", "quantity": "gamma", "low": 1, "high": 2, "spacing": "linear"},
        ],
    )
    study = changes.study("digits", settings)
    assert (study.networks, study.cells, study.seed, study.epochs) == (4, ("gru", "cornn"), 7, 12)
    assert study.task_options == get_preset("digits").task_options
    assert study.cell_ranges("gru")["learning_rate"].high == 1e-3
    assert (study.cell_ranges("cornn")["gamma"].low, study.cell_ranges("cornn")["gamma"].spacing) == (1, "linear")


def test_data_are_found_below_the_server_s(settings: ServedSettings, tmp_path: Path) -> None:
    study = Changes(data="novel.txt").study("small-char", settings)
    assert study.task_options["text"] == str(tmp_path / "novel.txt")
    with pytest.raises(UserError, match=r"'\.\./novel.txt'"):
        Changes(data="../novel.txt").study("small-char", settings)


@pytest.mark.parametrize(
    ("preset", "changes", "message"),
    [
        ("small-target", {"cells": ["gru"]}, "cell 'gru' cannot learn 'target_learning'"),
        ("digits", {"ranges": [{"low": 2, "high": 1}]}, "low <= high"),
        ("digits", {"ranges": [{"cell": "gru", "quantity": "gamma", "low": 1, "high": 2}]}, "names 'gamma'"),
    ],
)
def test_settings_that_do_not_fit_are_one_sentence(
    preset: str, changes: dict[str, object], message: str, settings: ServedSettings
) -> None:
    with pytest.raises(UserError, match=message):
        Changes(**changes).study(preset, settings)


@pytest.mark.parametrize("wrong", [{"networks": 0}, {"cells": ["grue"]}, {"task_options": {}}, {"epochs": 1e9}])
def test_what_is_out_of_bounds_never_reaches_a_run(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Changes(**wrong)


@pytest.mark.parametrize("name", FORMS)
def test_the_form_submitted_as_the_interface_shows_it_is_valid(name: str) -> None:
    """Prefect's interface sends null for what is empty and has no default, as its server checks it."""
    schema = form(name)
    values = {key: entry["default"] for key, entry in schema["properties"].items()}
    for key, entry in schema["properties"].items():
        if "$ref" in entry:
            model = schema["definitions"][entry["$ref"].rsplit("/", 1)[-1]]["properties"]
            values[key] = {inner: one.get("default") for inner, one in model.items()}
    assert validate(values, schema, raise_on_error=False, preprocess=True) == []


def test_the_cluster_is_the_server_s(settings: ServedSettings) -> None:
    assert "ray_address" not in PackResources.model_fields
    with pytest.raises(ValidationError):
        PackResources(ray_address="elsewhere:6379")
    made = resources(PackResources(cpus_per_pack=2), settings)
    assert (made.ray_address, made.cpus_per_pack, made.way) == ("ray-head:6379", 2, None)


def test_the_schema_read_from_source_is_that_of_the_function() -> None:
    from flows.served.deployed_study import study

    assert parameter_schema(study).model_dump_for_openapi() == form("study")


def test_options_of_the_task_come_from_the_form_and_none_of_them_names_a_place(settings: ServedSettings) -> None:
    assert settings.data is not None
    (settings.data / "own.csv").write_text("price,day\n" + "".join(f"{step % 7},{step}\n" for step in range(400)))
    changes = Changes(data="own.csv", options=[{"name": "time", "value": "day"}, {"name": "window", "value": "20"}])
    study = changes.study("arrays", settings)
    assert study.task_options == {"data": str(settings.data / "own.csv"), "time": "day", "window": 20}
    for name in {each.data_option for each in tasks.values()}:
        with pytest.raises(UserError, match="expected them in the field data"):
            Changes(options=[{"name": name, "value": "/etc"}]).study("arrays", settings)
    with pytest.raises(UserError, match="is given twice"):
        Changes(options=[{"name": "window", "value": "1"}, {"name": "window", "value": "2"}]).study("arrays", settings)
