"""The settings of a study, checked when they are made."""

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from typing import Any

from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError, unknown_name
from aelle_core.foundation.ranges import Choice, Range
from aelle_core.foundation.whole_numbers import check_whole


def _setting(default: Any, description: str, low: float | None = None, high: float | None = None) -> Any:
    """Return a field with what a form needs to know: a description, and bounds (for each element of a tuple)."""
    factory = {"default_factory": lambda: default} if isinstance(default, dict) else {"default": default}
    return field(**factory, metadata={"description": description, "low": low, "high": high})


@dataclass(frozen=True)
class Study:
    """Networks of some cells and sizes on one task, each with its own draw from the ranges.

    Everything that decides a number is in here; `identity` is the name with a hash of all of it. The fields carry
    descriptions and bounds, from which the forms of the flows are made. Raises UserError, before anything is
    trained, on unknown names and on values out of bounds.

    `planned` is False for a study whose results are read: the plug-ins with its cells or its task may not be installed
    here, so that names are not looked up.
    """

    name: str = _setting("study", "Name of the study: letters, digits, - and _")
    task: str = _setting("digits", "What the networks are trained on")
    task_options: dict[str, Any] = _setting({}, "Options of the task, such as its data directory")
    cells: tuple[str, ...] = _setting(("rnn", "gru", "lstm"), "Cells to train")
    units: tuple[int, ...] = _setting((32,), "Hidden units: a cohort for each", 1, 4096)
    networks: int = _setting(16, "Networks per cell and size", 1, 1_000_000)
    epochs: int = _setting(10, "Epochs of training", 1, 10_000)
    batch_size: int = _setting(64, "Sequences per mini-batch", 1, 65_536)
    ranges: dict[str, Any] = _setting(
        {},
        "Ranges to draw from, by cell ('*' for all), then by name: scale, learning_rate, clip or a constant of the "
        "cell's equation, truncation, initialiser, input_gain or forget_bias; each a number, [low, high] or "
        "[low, high, 'linear'], or names",
    )
    spectra: tuple[str, ...] = _setting(
        ("hidden",), "Which spectra to compute: hidden, full, closed_loop; the first is the one to judge by"
    )
    exponents: int = _setting(0, "How many leading exponents to compute; 0 for all", 0, 65_536)
    spectrum_epochs: tuple[int, ...] = _setting(
        (),
        "Epochs (0: before training) after which spectra are computed, the last always among them; none named for all",
        0,
        10_000,
    )
    spectrum_sequences: int = _setting(15, "Validation sequences that a spectrum is averaged over", 1, 10_000)
    warmup: int = _setting(0, "Steps at the start of a sequence that a spectrum does not count", 0, 1_000_000)
    threshold: float | None = _setting(
        None, "The loss below which a network has ended well; empty for the median of the final losses"
    )
    chosen: dict[str, Any] = _setting(
        {}, "Which networks to train, by number, of each cell and size such as 'gru 32'; empty for all: see screening"
    )
    goal: str = _setting(
        "loss", "What a good network is: loss, or a measure of its free runs such as climate or valid_prediction_time"
    )
    pack_size: int = _setting(16, "Networks trained side by side in one pack", 1, 4096)
    seed: int = _setting(0, "Decides everything that is drawn", 0, 2**32 - 1)
    planned: InitVar[bool] = True

    def __post_init__(self, planned: bool) -> None:
        for entry in dataclasses.fields(self):
            if entry.name in ("cells", "units", "spectra", "spectrum_epochs"):
                values = _as_tuple(entry.name, getattr(self, entry.name), empty=entry.default == ())
                object.__setattr__(self, entry.name, values)
            _check_bounds(entry, getattr(self, entry.name))
        check_study_name("name", self.name)
        for label in ("task_options", "ranges", "chosen"):
            if not isinstance(getattr(self, label), Mapping):
                raise UserError(f"{label}={getattr(self, label)!r}: expected a mapping")
        for kind in self.spectra:
            if kind not in ("hidden", "full", "closed_loop"):
                raise UserError(f"spectra={self.spectra!r}: expected some of hidden, full, closed_loop")
        self._check_chosen()
        if self.threshold is not None and not _is_positive(self.threshold):
            raise UserError(f"threshold={self.threshold!r}: expected a number above 0, or None for the median")
        if planned:
            self.check()

    def _check_chosen(self) -> None:
        groups = {f"{cell} {units}" for cell in self.cells for units in self.units}
        for name, numbers in self.chosen.items():
            if name not in groups:
                raise unknown_name("cell and size in chosen", name, groups)
            whole = isinstance(numbers, list | tuple) and numbers and all(type(number) is int for number in numbers)
            if not whole or len(set(numbers)) < len(numbers) or min(numbers) < 0 or max(numbers) >= self.networks:
                raise UserError(
                    f"chosen[{name!r}]={numbers!r}: expected numbers from 0 to {self.networks - 1}, each once"
                )

    def check(self) -> None:
        """Raise UserError where a cell, the task or a range is unknown here, or one does not fit another."""
        from aelle_core.cells import cells
        from aelle_core.tasks import get_task
        from aelle_core.training import trainers

        task = get_task(self.task, seed=self.seed, options=self.task_options)
        if (steps := task.known_steps) is not None and self.warmup >= steps:
            raise UserError(
                f"warmup={self.warmup}: sequences of {self.task!r} have {counted(steps, 'step')}; expected fewer"
            )
        self._check_goal(task.trainer == "forecast")
        taken = trainers[task.trainer].trains
        for name in self.cells:
            if not issubclass(cells[name], taken):
                known = ", ".join(name for name in cells if issubclass(cells[name], taken))
                raise UserError(f"cell {name!r} cannot learn {self.task!r}: expected one of {known}")
            self.cell_ranges(name)
        if unknown := sorted(set(self.ranges) - set(self.cells) - {"*"}):
            cells[unknown[0]]  # an unknown cell has a clearer error of its own
            raise UserError(f"ranges for {', '.join(unknown)}: the study's cells are {', '.join(self.cells)}")

    def _check_goal(self, runs_freely: bool) -> None:
        """Raise UserError where closed loops are asked of a task without them, or the goal is no measure."""
        if not runs_freely and ("closed_loop" in self.spectra or self.goal != "loss"):
            asked = f"goal={self.goal!r}" if self.goal != "loss" else "spectra='closed_loop'"
            raise UserError(f"{asked} was asked of task {self.task!r}, which has no free runs: expected one that has")
        if self.goal != "loss":
            from aelle_core.evaluation.free_runs import measures

            measures[self.goal]

    def cell_ranges(self, name: str) -> dict[str, Range | Choice]:
        """Return the ranges that networks of cell `name` draw from: the cell's own, overruled by the study's, which may
        add what is optional for its trainer."""
        from aelle_core.cells import cells
        from aelle_core.tasks import tasks
        from aelle_core.training import trainers

        cell, trainer = cells[name], trainers[tasks[self.task].trainer]
        training = trainer.ranges
        known = {*training, "scale", *cell.defaults, *trainer.optional} - cell.without()
        merged: dict[str, Range | Choice] = {**training, **cell.search}
        for source in ("*", name):
            given = self.ranges.get(source, {})
            if not isinstance(given, Mapping):
                raise UserError(f"ranges[{source!r}]={given!r}: expected a mapping from names to ranges")
            for key, value in given.items():
                if key in known:
                    merged[key] = trainer.optional.get(key, Range.parse)(value)
                elif source != "*":
                    raise UserError(f"ranges[{source!r}] names {key!r}: expected one of {', '.join(sorted(known))}")
        families = merged.get("initialiser")
        if isinstance(families, Choice) and "author" in families.names and not cell.has_author():
            raise UserError(f"initialiser='author' for {name}: it has none of its authors; expected another one")
        for key in {"scale", "input_gain", *training} & set(merged):
            bounds = merged[key]
            if isinstance(bounds, Range) and bounds.low <= 0:
                raise UserError(f"range of {key} for {name}: {bounds}: expected values above 0")
        return merged

    @property
    def identity(self) -> str:
        """The name and a hash of all settings: two studies with the same identity give the same numbers."""
        content = json.dumps(self.to_dict(), sort_keys=True)
        return f"{self.name}-{hashlib.sha256(content.encode()).hexdigest()[:10]}"

    def has_spectra(self, epoch: int) -> bool:
        """Return whether spectra are computed after that epoch."""
        return not self.spectrum_epochs or epoch in (*self.spectrum_epochs, self.epochs)

    @property
    def total_networks(self) -> int:
        """Networks in all cohorts."""
        return sum(len(self.numbers(cell, units)) for cell in self.cells for units in self.units)

    def numbers(self, cell: str, units: int) -> Sequence[int]:
        """Return the numbers of the networks of one cell and size: all of them, or the chosen."""
        return self.chosen.get(f"{cell} {units}", ()) if self.chosen else range(self.networks)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON can hold them; later ones only where they are not the default, so that the
        identity of older studies stays."""
        settings: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self), default=_plain))
        later = {"chosen": {}, "goal": "loss"}
        return {name: value for name, value in settings.items() if name not in later or value != later[name]}

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any], *, planned: bool = True) -> "Study":
        """Return the study with these settings, `planned` or read. Raises UserError on an unknown setting."""
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(settings) - known):
            raise UserError(f"unknown setting {', '.join(unknown)}: expected some of {', '.join(sorted(known))}")
        return cls(**settings, planned=planned)

    def replace(self, *, planned: bool = True, **changes: Any) -> "Study":
        """Return the study with some settings changed, `planned` or read."""
        return self.from_dict({**dataclasses.asdict(self), **changes}, planned=planned)


def check_study_name(label: str, name: object) -> None:
    """Raise UserError unless `name` can name a study or its directory; `label` says what it is the name of."""
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name):
        raise UserError(f"{label}={name!r}: expected up to 64 letters, digits, - and _")


def _plain(value: object) -> object:
    raise UserError(f"setting {value!r} is a {type(value).__name__}: expected numbers, texts, lists and mappings")


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _as_tuple(name: str, value: Any, empty: bool) -> tuple[Any, ...]:
    if not isinstance(value, str | int | list | tuple):
        raise UserError(f"{name}={value!r}: expected a list")
    values = (value,) if isinstance(value, str | int) else tuple(value)
    if any(isinstance(value, list | dict) for value in values):
        raise UserError(f"{name}={value!r}: expected a list of names or numbers")
    if (not values and not empty) or len(set(values)) != len(values):
        raise UserError(f"{name}={value!r}: expected at least one, each once")
    return values


def _check_bounds(field: "dataclasses.Field[Any]", value: Any) -> None:
    low, high = field.metadata["low"], field.metadata["high"]
    if low is None:
        return
    for number in value if isinstance(value, tuple) else (value,):
        check_whole(field.name, number, low, high)
