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
from aelle_core.systems import systems
from aelle_core.tasks import get_task, tasks
from aelle_core.training import ways
from flows.served.changes import Changes, Details, Training, changed_preset
from flows.served.deployments import deployments
from flows.served.forms import PackResources, resources
from flows.served.known_systems import study_of_system
from flows.served.own_sequences import Columns, named_after, own_study
from flows.served.settings import ServedSettings

FORMS = ("study", "sweep", "analyse", "nightly", "compact", "screen", "own_data", "forecast")
REQUIRED = {"own_data": ["data"]}


@pytest.fixture
def settings(tmp_path: Path) -> ServedSettings:
    (tmp_path / "novel.txt").write_text("It is a truth universally acknowledged, " * 2000)
    return ServedSettings(runs=str(tmp_path / "runs"), data=tmp_path, ray_address="ray-head:6379")


def form(name: str) -> dict[str, Any]:
    """What the UI is given."""
    return parameter_schema_from_entrypoint(f"flows.served.deployed_{name}.{name}").model_dump_for_openapi()


@pytest.mark.parametrize("name", FORMS)
def test_every_field_is_described_and_nothing_but_own_data_is_required(name: str) -> None:
    schema = form(name)
    assert schema.get("required", []) == REQUIRED.get(name, [])
    for key, entry in schema["properties"].items():
        assert entry["description"]
        assert ("default" in entry) == (key not in REQUIRED.get(name, []))
        assert "type" in entry or "anyOf" in entry or "$ref" in entry
    for model in schema.get("definitions", {}).values():
        assert model["description"]
        assert not model.get("required")
        assert all(entry["description"] for entry in model["properties"].values())
        if model["title"] != "CohortResources":  # typed as JSON; elsewhere the UI would show tabs
            assert not any("anyOf" in entry for entry in model["properties"].values())


def test_all_forms_are_deployed() -> None:
    assert {each.name for each in deployments()} == {name.replace("_", "-") for name in FORMS}


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("study", ["preset", "results"]),
        ("own_data", ["data", "learn", "target", "cells", "networks", "results"]),
        ("forecast", ["system", "data", "cells", "networks", "results"]),
        ("screen", ["preset", "results", "screening"]),
    ],
)
def test_a_form_begins_with_what_one_says_first_and_the_rest_is_folded(name: str, first: list[str]) -> None:
    properties = form(name)["properties"]
    shown = sorted(properties, key=lambda key: properties[key]["position"])
    assert shown[: len(first)] == first
    assert len(shown) > len(first)
    for key in shown[len(first) :]:
        closed, opened = properties[key]["anyOf"]
        assert (closed["properties"], properties[key]["default"]) == ({}, {})  # the interface shows the first tab
        assert opened["$ref"]
        assert closed["title"] != opened["title"]


def test_drop_downs_and_bounds() -> None:
    schema = form("study")
    assert schema["properties"]["preset"]["enum"] == list(presets())
    changes = schema["definitions"]["Changes"]["properties"]
    assert changes["cells"]["items"]["enum"] == list(cells)
    task = schema["definitions"]["Details"]["properties"]["task"]
    assert (task["enum"], task["default"]) == (["as in the preset", *tasks], "as in the preset")
    assert schema["definitions"]["PackResources"]["properties"]["way"]["enum"][1:] == list(ways)
    assert form("forecast")["properties"]["system"]["enum"] == list(systems)
    assert (changes["networks"]["minimum"], changes["networks"]["maximum"]) == (1, 1_000_000)
    quantities = schema["definitions"]["RangeChange"]["properties"]["quantity"]["enum"]
    assert {"scale", "learning_rate", "clip", "gamma"} <= set(quantities)


def test_no_form_names_a_path_or_an_address() -> None:
    for name in FORMS:
        text = str(form(name))
        for word in ("'directory'", "ray_address", "task_options"):
            assert word not in text


def test_the_form_as_it_is_runs_the_preset(settings: ServedSettings) -> None:
    for name in presets():
        if name != "paper-char":  # its text is not carried along
            assert changed_preset(name, Changes(), Details(), settings) == get_preset(name)


def test_changes(settings: ServedSettings) -> None:
    changes = Changes(
        networks=4,
        cells=["gru", "cornn"],
        seed=7,
    )
    details = Details(
        ranges=[
            {"quantity": "learning_rate", "low": 1e-4, "high": 1e-3},
            {"cell": "cornn", "quantity": "gamma", "low": 1, "high": 2, "spacing": "linear"},
        ],
    )
    study = changed_preset("digits", changes, details, settings)
    assert (study.networks, study.cells, study.seed, study.epochs) == (4, ("gru", "cornn"), 7, 12)
    assert study.task_options == get_preset("digits").task_options
    assert study.cell_ranges("gru")["learning_rate"].high == 1e-3
    assert (study.cell_ranges("cornn")["gamma"].low, study.cell_ranges("cornn")["gamma"].spacing) == (1, "linear")


def test_data_are_found_below_the_server_s(settings: ServedSettings, tmp_path: Path) -> None:
    study = changed_preset("small-char", Changes(data="novel.txt"), Details(), settings)
    assert study.task_options["text"] == str(tmp_path / "novel.txt")
    with pytest.raises(UserError, match=r"'\.\./novel.txt'"):
        changed_preset("small-char", Changes(data="../novel.txt"), Details(), settings)


@pytest.mark.parametrize(
    ("preset", "changes", "details", "message"),
    [
        ("small-target", {"cells": ["gru"]}, {}, "cell 'gru' cannot learn 'target_learning'"),
        ("digits", {}, {"ranges": [{"low": 2, "high": 1}]}, "low <= high"),
        ("digits", {}, {"ranges": [{"cell": "gru", "quantity": "gamma", "low": 1, "high": 2}]}, "names 'gamma'"),
    ],
)
def test_settings_that_do_not_fit_are_one_sentence(
    preset: str, changes: dict[str, Any], details: dict[str, Any], message: str, settings: ServedSettings
) -> None:
    with pytest.raises(UserError, match=message):
        changed_preset(preset, Changes(**changes), Details(**details), settings)


@pytest.mark.parametrize("wrong", [{"networks": 0}, {"cells": ["grue"]}, {"task_options": {}}, {"epochs": 1e9}])
def test_what_is_out_of_bounds_never_reaches_a_run(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Changes(**wrong)


@pytest.mark.parametrize("name", FORMS)
def test_the_form_submitted_as_the_interface_shows_it_is_valid(name: str) -> None:
    """Prefect's interface sends null for what is empty and has no default, as its server checks it."""
    schema = form(name)
    folded = {key: entry.get("default", "own.csv") for key, entry in schema["properties"].items()}
    assert validate(folded, schema, raise_on_error=False, preprocess=True) == []
    opened = dict(folded)
    for key, entry in schema["properties"].items():
        for tab in entry.get("anyOf", [entry])[-1:]:
            if "$ref" in tab:
                model = schema["definitions"][tab["$ref"].rsplit("/", 1)[-1]]["properties"]
                opened[key] = {inner: one["default"] for inner, one in model.items() if "default" in one}
    assert opened != folded or name == "compact"
    assert validate(opened, schema, raise_on_error=False, preprocess=True) == []


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
    options = [{"name": "time", "value": "day"}, {"name": "window", "value": "20"}]
    study = changed_preset("arrays", Changes(data="own.csv"), Details(options=options), settings)
    assert study.task_options == {"data": str(settings.data / "own.csv"), "time": "day", "window": 20}
    for name in {each.data_option for each in tasks.values()}:
        with pytest.raises(UserError, match="expected them in the field data"):
            changed_preset("arrays", Changes(), Details(options=[{"name": name, "value": "/etc"}]), settings)
    twice = [{"name": "window", "value": "1"}, {"name": "window", "value": "2"}]
    with pytest.raises(UserError, match="is given twice"):
        changed_preset("arrays", Changes(), Details(options=twice), settings)


def test_the_form_for_own_data_asks_for_the_preset_arrays_on_a_file(settings: ServedSettings) -> None:
    assert settings.data is not None
    (settings.data / "Own rates.csv").write_text("price,day\n" + "".join(f"{step % 7},{step}\n" for step in range(400)))
    options = {"learn": "regression", "target": ""}
    changes = {"cells": ("gru",), "networks": 3}
    study = own_study("arrays", "Own rates.csv", options, Columns(time="day"), changes, Training(epochs=2), settings)
    data = str(settings.data / "Own rates.csv")
    assert study.task_options == {"data": data, "learn": "regression", "time": "day"}
    assert (study.name, study.cells, study.networks, study.epochs) == ("Own-rates", ("gru",), 3, 2)
    unchanged = own_study("arrays", "Own rates.csv", {}, Columns(), {"cells": ()}, Training(), settings)
    assert unchanged == get_preset("arrays").replace(name="Own-rates", task_options={"data": data})
    with pytest.raises(UserError, match="below the server's data"):
        own_study("arrays", "/etc/passwd", {}, Columns(), {}, Training(), settings)


def test_the_form_for_forecasters_judges_those_of_own_series_by_their_free_runs(settings: ServedSettings) -> None:
    assert settings.data is not None
    (settings.data / "Own rates.csv").write_text("price\n" + "".join(f"{step % 7}\n" for step in range(400)))
    study = own_study(
        "own-series", "Own rates.csv", {}, Columns(ignore="comment"), {"networks": 3}, Training(), settings
    )
    assert (study.task, study.goal, study.networks) == ("forecast", "climate", 3)
    assert study.task_options["ignore"] == "comment"
    assert str(study.task_options["data"]).endswith("Own rates.csv")


@pytest.mark.parametrize(
    ("data", "name"),
    [("a/b.c.csv", "b-c"), ("_x_.npy", "x"), ("classes", "classes"), ("…", "arrays"), ("é" * 99 + "a", "a")],
)
def test_results_of_own_data_are_called_after_the_file(data: str, name: str, settings: ServedSettings) -> None:
    assert named_after(data) == name
    settings.results(named_after(data))
    settings.results(named_after("b" * 100))


@pytest.mark.parametrize("system", list(systems))
def test_the_form_for_forecasters_asks_for_networks_that_hold_the_system(system: str) -> None:
    study = study_of_system(system, {"cells": (), "networks": 2}, Training(seed=5))
    preset = get_preset("lorenz")
    assert study.task_options == {"system": system}
    assert (study.goal, study.cells, study.networks, study.seed) == (preset.goal, preset.cells, 2, 5)
    assert min(study.units) >= get_task("forecast", options=study.task_options).input_size
    assert study_of_system(system, {}, Training(units=[100])).units == (100,)
