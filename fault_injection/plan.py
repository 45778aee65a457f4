"""What is to happen in a round, drawn from a seed, and what is said of it at its end."""

import random
import signal
import subprocess
from dataclasses import dataclass, field
from typing import Any

import httpx

from aelle_core.study import Study, cohorts, get_preset
from fault_injection.faults import FAULTS, LOCAL_FAULTS

_CHANGES: dict[str, Any] = {"cells": ["lem", "rnn", "gru"], "units": [5], "networks": 6, "epochs": 40}
STUDY: Study = get_preset("digits").replace(**_CHANGES)
ARGUMENTS = ["digits", "--way", "packed"]
"""The same study, as the command takes it."""
for _name, _value in _CHANGES.items():
    ARGUMENTS += [f"--{_name}", ",".join(map(str, _value)) if isinstance(_value, list) else str(_value)]
FORM = {"changes": _CHANGES, "packs": {"way": "packed"}}
"""The same study, as the form takes it."""
_MOST_FAULTS = 3
_SERVED_SHARE = 0.15
_LOCAL_SHARE = 0.4
_ANALYSED_SHARE = 0.25

ERRORS = (OSError, RuntimeError, ValueError, subprocess.SubprocessError, httpx.HTTPError)
"""What a round reports as its problem, so that the next round is played."""


def in_words(error: BaseException) -> str:
    """Return an error as a problem of a round."""
    return f"{type(error).__name__}: {str(error).strip()[-500:]}"


@dataclass
class Verdict:
    """What happened in a round, after how many stored fragments; how long it took; what was wrong at its end."""

    number: int
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    rows: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ServedPlan:
    """A study that is started from a form of `aelle serve`, which gets a signal after some fragments."""

    moment: int
    signal: signal.Signals


@dataclass(frozen=True)
class Plan:
    """Whether a study starts its own cluster, what happens to it after how many fragments, and whether an analysis of
    it is killed too."""

    local: bool
    faults: list[tuple[int, str]]
    analysed: bool


def plan_of(number: int, seed: int) -> Plan | ServedPlan:
    """Draw the plan of a round: the same number and seed give the same plan."""
    draw = random.Random(f"{seed}/{number}")
    total = sum(len(cohort.packs) for cohort in cohorts(STUDY)) * (STUDY.epochs + 1)
    if draw.random() < _SERVED_SHARE:
        return ServedPlan(round(draw.uniform(0.05, 0.6) * total), draw.choice([signal.SIGKILL, signal.SIGTERM]))
    local = draw.random() < _LOCAL_SHARE
    moments = sorted(draw.uniform(0.05, 0.85) * total for _ in range(draw.randint(1, _MOST_FAULTS)))
    faults = [(round(moment), draw.choice(sorted(LOCAL_FAULTS if local else FAULTS))) for moment in moments]
    return Plan(local, faults, draw.random() < _ANALYSED_SHARE)
