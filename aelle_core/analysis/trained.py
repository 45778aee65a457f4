"""Trained studies, read from their stores as arrays for an analysis."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from aelle_core.analysis.across_systems import beside_their_systems
from aelle_core.analysis.one_level import on_one_level
from aelle_core.evaluation import NetworkExamples
from aelle_core.evaluation.free_runs import measures
from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.interpolation import interpolate_spectrum
from aelle_core.store.dataset import SpectraStore
from aelle_core.study import QuarantinedPack, RunDirectory, Study, cohorts
from aelle_core.study.joint import across_systems, check_joinable, members
from aelle_core.study.nights import Nights
from aelle_core.tasks import tasks
from aelle_core.tasks.forecast import Forecast

MISSING = "missing"
"""The status of networks that are not there because their pack was quarantined."""


class StoredSpectra(Protocol):
    """Where the rows of studies are read from: a SpectraStore, or what ships with the package."""

    def read(self, *, study: str) -> pa.Table:
        """Return all rows of the study of that identity."""


@dataclass(frozen=True)
class Trained:
    """A study whose networks have been trained, where they are stored, the packs that it was completed without, its
    date (ISO 8601) where it is a night of a series, and by what its networks are judged where not by its own goal."""

    store: StoredSpectra
    study: Study
    quarantined: Sequence[QuarantinedPack] = ()
    night: str | None = None
    judged_by: str | None = None

    @property
    def goal(self) -> str:
        """What a good network is: "loss", or a measure of free runs."""
        return self.judged_by or self.study.goal

    def by(self, goal: str) -> "Trained":
        """Return the same networks, judged by that measure of their free runs. Raises UserError where there is no such
        measure, or the study has no free runs."""
        _ = measures[goal]
        if not issubclass(tasks[self.study.task], Forecast):
            raise UserError(f"--goal {goal!r}: task {self.study.task!r} has no free runs: expected a study that has")
        return replace(self, judged_by=goal)

    @classmethod
    def of(cls, run: RunDirectory, night: str | None = None) -> "Trained":
        """Return the study of a run directory."""
        return cls(run.store, run.study(), run.quarantine.packs(), night)


def trained_studies(run: RunDirectory, finished: Sequence[str] | None = None) -> list[Trained]:
    """Return what an analysis of a run reads: its study, or, where it is a series of nights, those of all finished
    nights, or those that it joins.

    `finished` are the dates of those nights, where they are known; otherwise every night's store is asked.
    """
    if joined := members(run):
        return [trained for member in joined for trained in trained_studies(member)]
    nights = Nights(run)
    dates = nights.finished() if finished is None else finished
    return [Trained.of(nights.run(night), night) for night in dates] or [Trained.of(run)]


def load_examples(
    store: SpectraStore, study: Study, kind: str | None = None, *, quarantined: Sequence[QuarantinedPack] = ()
) -> tuple[dict[int, NetworkExamples], dict[str, int]]:
    """Return the stored networks of a study as arrays; see `joint_examples`."""
    return joint_examples([Trained(store, study, quarantined)], kind)


def own_threshold(trained: Sequence[Trained]) -> float | None:
    """Return the outcome below which the studies themselves call a network good; None where they name none, or one of
    another goal or unit than their networks are judged by."""
    across = across_systems([part.study for part in trained])
    return None if across or trained[0].goal != trained[0].study.goal else trained[0].study.threshold


def joint_examples(
    trained: Sequence[Trained], kind: str | None = None, *, in_nats: bool = False
) -> tuple[dict[int, NetworkExamples], dict[str, int]]:
    """Return the stored networks of studies of one shape as arrays, epoch by epoch, and how many ended with which
    status; with spectra of that kind, "hidden" or "full", by default the first that the studies name.

    Where studies of several seeds have no threshold of their own, outcomes are scaled to one median, see
    `on_one_level`. Where they forecast several systems, exponents and outcomes are beside those of each system, see
    `beside_their_systems`; `in_nats` leaves the exponents in nats per step.

    Networks of quarantined packs may be missing: they are counted under the status "missing" and in no epoch's
    arrays. Networks of several studies are different networks: the study's identity goes before their names.

    An epoch is there when spectra were taken after it, and a network in it when its own could be computed. One that
    diverged before the end counts, at the epochs that it reached, with the largest final loss of those that did not.
    Spectra of several sizes are interpolated to the largest. Raises UserError when not all else that was planned is
    stored, and where `check_joinable` does.
    """
    studies = [part.study for part in trained]
    check_joinable(studies)
    if not across_systems(studies):
        of_all, counts_of_all = _examples(trained, kind)
        as_they_are = len(trained) == 1 or own_threshold(trained) is not None
        return of_all if as_they_are else on_one_level(of_all), counts_of_all
    examples, counts = zip(*(_examples([part], kind) for part in trained), strict=True)
    return beside_their_systems(studies, examples, in_nats=in_nats), dict(sum(map(Counter, counts), Counter()))


def _examples(trained: Sequence[Trained], kind: str | None = None) -> tuple[dict[int, NetworkExamples], dict[str, int]]:
    """Return what `joint_examples` does, of studies with the same task options."""
    study = trained[0].study
    rows: list[dict[str, Any]] = []
    missing = 0
    for part in trained:
        finished, absent = _finished_rows(part)
        if len(trained) > 1:
            finished = [row | {"network": f"{row['study']}/{row['network']}"} for row in finished]
        rows += finished
        missing += absent
    last = [row for row in rows if row["epoch"] == study.epochs]
    goal = trained[0].goal
    outcome = _outcomes(last, goal)
    finite = [outcome[row["network"]] for row in last if row["status"] == "ok"]
    if not finite:
        raise UserError(
            f"study {study.identity}: {counted(len(last), 'network')}, all diverged; expected some that did not"
        )
    worst = max(finite)
    final_loss = {row["network"]: outcome[row["network"]] if row["status"] == "ok" else worst for row in last}
    accuracy = {row["network"]: row["validation_accuracy"] for row in last}
    column = f"spectrum_{kind or study.spectra[0]}"
    size = max((len(row[column]) for row in rows if row.get(column) is not None), default=0)
    if not size:
        raise UserError(f"study {study.identity} has no {kind or study.spectra[0]} spectra: expected some")
    names = sorted({name for row in rows for name, _ in row["hyperparameters"]})
    examples = {}
    for epoch in filter(study.has_spectra, range(study.epochs + 1)):
        chosen = [row for row in rows if row["epoch"] == epoch and row.get(column) is not None]
        hyperparameters = [dict(row["hyperparameters"]) for row in chosen]
        examples[epoch] = NetworkExamples(
            spectra=np.stack([interpolate_spectrum(np.asarray(row[column]), size) for row in chosen]),
            loss=np.array([row["validation_loss"] for row in chosen]),
            final_loss=np.array([final_loss[row["network"]] for row in chosen]),
            accuracy=np.array([accuracy[row["network"]] for row in chosen], dtype=float),
            cells=np.array([row["cell"] for row in chosen]),
            units=np.array([row["units"] for row in chosen]),
            hyperparameters={
                name: np.array([values.get(name, np.nan) for values in hyperparameters], dtype=float) for name in names
            },
            networks=np.array([row["network"] for row in chosen]),
            epoch=epoch,
            goal=goal,
        )
    counts = Counter(row["status"] for row in last)
    return examples, dict(counts) | ({MISSING: missing} if missing else {})


def _outcomes(last: Sequence[dict[str, Any]], goal: str) -> dict[str, float]:
    """Return what became of every network by the study's goal, less being better; NaN for what diverged."""
    if goal == "loss":
        return {row["network"]: row["validation_loss"] for row in last}
    values = np.array([np.nan if row.get(goal) is None else row[goal] for row in last], dtype=float)
    return dict(zip([row["network"] for row in last], measures[goal].as_loss(values).tolist(), strict=True))


def _finished_rows(trained: Trained) -> tuple[list[dict[str, Any]], int]:
    """All rows of a study without those of missing networks, and how many these are.

    Raises UserError when a network is not there at one of the epochs that an analysis uses, and when there is one that
    the study does not have.
    """
    study = trained.study
    rows = trained.store.read(study=study.identity).to_pylist()
    pack_of = _pack_of(study)
    if strangers := sorted({row["network"] for row in rows} - set(pack_of)):
        raise UserError(
            f"study {study.identity} has no network {strangers[0]!r}, of which rows are stored: expected only its "
            f"{study.total_networks} networks; remove the file that holds it"
        )
    ended = {row["network"] for row in rows if row["epoch"] == study.epochs}
    missing = {network for pack in trained.quarantined for network in pack.networks} - ended
    expected = set(pack_of) - missing
    for epoch in (study.epochs, *filter(study.has_spectra, range(study.epochs))):
        packs = {row["network"]: row["pack"] for row in rows if row["epoch"] == epoch}
        if lacking := sorted(expected - set(packs)):
            count = len(expected & set(packs))
            when = "trained to the end" if epoch == study.epochs else f"stored at epoch {epoch}"
            remedy = "run the same command again to finish it"
            if (pack := pack_of[lacking[0]]) in packs.values():  # to the command the pack's epoch is there
                remedy = f"{pack} lacks {lacking[0]}; remove its file of that epoch and run the same command again"
            raise UserError(f"study {study.identity} has {count} of {len(expected)} networks {when}: {remedy}")
    return [row for row in rows if row["network"] not in missing], len(missing)


def _pack_of(study: Study) -> dict[str, str]:
    """Every network of a study, with the pack it belongs to."""
    return {
        network: packs.name(number)
        for packs in (cohort.packs for cohort in cohorts(study))
        for number in range(len(packs))
        for network in packs.networks(number)
    }
