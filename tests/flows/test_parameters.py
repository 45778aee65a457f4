"""The forms are made from the Study itself."""

import dataclasses

import pytest
from pydantic import ValidationError

from aelle_core.study import Study
from aelle_core.tasks import tasks
from flows.parameters import Resources, StudyParameters


def test_the_form_has_every_setting_with_description_bounds_and_choices() -> None:
    schema = StudyParameters.model_json_schema()["properties"]
    assert set(schema) == {each.name for each in dataclasses.fields(Study)}
    assert all(entry["description"] for entry in schema.values())
    assert schema["networks"]["minimum"] == 1
    assert "lstm" in schema["cells"]["items"]["enum"]
    assert schema["task"]["enum"] == list(tasks)
    assert "digits" in tasks
    assert schema["units"]["items"]["maximum"] == 4096


def test_form_and_study_agree() -> None:
    assert StudyParameters().to_study() == Study()
    study = Study(cells=("gru",), ranges={"gru": {"scale": [0.1, 0.5]}}, epochs=3)
    assert StudyParameters(**study.to_dict()).to_study().identity == study.identity


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"cells": ["grue"]}, {"colour": 1}, {"units": [0]}])
def test_the_form_refuses_what_the_study_refuses(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        StudyParameters(**wrong)


def test_resources_have_bounds() -> None:
    with pytest.raises(ValidationError):
        Resources(cpus_per_pack=0)
