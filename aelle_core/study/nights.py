"""A series of nights: one study again and again, with fresh networks each time."""

import re
from collections.abc import Iterable
from datetime import date

from aelle_core.files.places import Place
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.random_streams import stream_seed
from aelle_core.study.directory import RunDirectory
from aelle_core.study.model import Study
from aelle_core.study.variants import cohorts

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class Nights:
    """The nights of a run directory, which holds the settings that they share: nights/DATE is a run directory each.

    A night is named by its date (ISO 8601). Its study is the shared one with a seed drawn for that date: the same
    date gives the same networks, another date others.
    """

    def __init__(self, run: RunDirectory) -> None:
        self.series = run
        self.path = run.path / "nights"

    def run(self, night: str) -> RunDirectory:
        """Return the run directory of a night. Raises UserError unless `night` is a date."""
        return RunDirectory(self.path / check_night(night))

    def study(self, night: str) -> Study:
        """Return a night's study. Raises UserError unless `night` is a date."""
        shared = self.series.study()
        return shared.replace(seed=stream_seed(shared.seed, f"night/{check_night(night)}") % 2**32)

    def begun(self) -> list[str]:
        """Return the dates of all nights that have results, in order."""
        if not self.path.exists():
            return []
        entries: Iterable[Place] = self.path.iterdir()
        return sorted(
            entry.name for entry in entries if _DATE.fullmatch(entry.name) and self.run(entry.name).settings.exists()
        )

    def finished(self) -> list[str]:
        """Return the dates of those nights whose networks are all trained, except packs that were given up."""
        return [night for night in self.begun() if is_trained(self.run(night))]


def is_trained(run: RunDirectory) -> bool:
    """Return whether every pack of a run has its last epoch stored or was given up, and not all of them were."""
    study = run.study()
    stored = run.store.stored(study.identity)
    given_up = {quarantined.pack for quarantined in run.quarantine.packs()}
    return bool(stored) and all(
        study.epochs in stored.get((cohort.cell, pack), ()) or pack in given_up
        for cohort in cohorts(study)
        for pack in cohort.packs.names()
    )


def check_night(night: str) -> str:
    """Return the date unchanged. Raises UserError unless it is one, YYYY-MM-DD."""
    try:
        if not _DATE.fullmatch(night):
            raise ValueError
        date.fromisoformat(night)
    except ValueError as error:
        raise UserError(f"night={night!r}: expected a date such as 2026-11-25") from error
    return night
