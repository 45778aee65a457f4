"""Every preset is accepted where it is started: by the form, and by the command's own defaults."""

import pytest

from aelle_core.aelle.targets import TARGETS
from aelle_core.study.presets.base import get_preset, registry
from flows.command.options import check_numbers
from flows.parameters import StudyParameters


@pytest.mark.parametrize("name", list(registry))
def test_the_form_accepts_every_preset(name: str) -> None:
    plan = get_preset(name).to_dict()
    held = StudyParameters(**plan)
    assert list(held.spectra) == list(plan["spectra"])
    assert held.goal == plan.get("goal", "loss")


@pytest.mark.parametrize("target", TARGETS)
def test_the_command_takes_every_target_of_the_predictor(target: str) -> None:
    check_numbers(cpus=1, gpus=0, splits=2, regress=target)
