"""The Prefect task that trains one cohort: a Ray task for each pack that is not stored yet."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from contextvars import ContextVar
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from aelle_core.foundation.errors import PlaceError, first_line
from aelle_core.study import Cohort, QuarantinedPack, RunDirectory
from aelle_core.study.faults import check_there, place_failures_named
from flows.parameters import Resources
from flows.progress.cohort import CohortProgress
from flows.ray_tasks.fan_out import fan_out
from flows.ray_tasks.train_pack import train_pack


class Stop:
    """Why all cohorts of a sweep are to stop, once there is a reason."""

    cause: PlaceError | None = None


_stop: ContextVar[Stop] = ContextVar("stop")


@contextmanager
def stopping_together() -> Iterator[Stop]:
    """Stop all cohorts submitted within the block when the directory of their results fails for one of them."""
    stop = Stop()
    token = _stop.set(stop)
    try:
        yield stop
    finally:
        _stop.reset(token)


@task(name="cohort", task_run_name="{name}", cache_policy=NO_CACHE, persist_result=False)
def train_cohort(name: str, cohort: Cohort, directory: str, resources: Resources) -> list[QuarantinedPack]:
    """Train the packs of one cohort on Ray. Returns the packs that failed in every attempt and are quarantined now.

    Raises PlaceError, and stops the cohorts beside it, when the place of the results fails.
    """
    training = _Training(cohort, RunDirectory(directory), resources)
    stop = _stop.get()
    try:
        with place_failures_named(training.run):
            return training.work(stop)
    except PlaceError as error:
        stop.cause = stop.cause or error
        raise


class _Training:
    """A cohort under way."""

    def __init__(self, cohort: Cohort, run: RunDirectory, resources: Resources) -> None:
        self.run = run
        self._cohort, self._resources = cohort, resources
        self._request = resources.of_cohort(cohort.cell, cohort.units)
        self._progress = CohortProgress(cohort, run.store)
        self._given_up_before = {pack.pack for pack in run.quarantine.packs()}
        self._numbers: dict[str, int] = {}  # of the packs that are being trained
        self._logger = get_run_logger()

    def work(self, stop: Stop) -> list[QuarantinedPack]:
        """Train every pack that is not stored yet."""

        def look(names: list[str]) -> None:
            if stop.cause:
                raise PlaceError(str(stop.cause))
            check_there(self.run)
            self._progress.look(names)

        given_up = []
        packs = fan_out(
            train_pack, self._jobs(), self._request, self._resources, on_failure=self._failed, while_waiting=look
        )
        with closing(packs) as outcomes:  # an error here cancels the packs that still train
            for name, summary, error, attempts in outcomes:
                number = self._numbers.pop(name)
                if error is None:
                    self._trained(name, summary)
                else:
                    networks = self._cohort.packs.networks(number)
                    pack = QuarantinedPack.now(name, networks, attempts, _cause(error))
                    self.run.quarantine.add(pack)
                    self._progress.settle(name, f"{name} quarantined")
                    self._logger.error("%s quarantined after %d attempts: %s", name, attempts, pack.cause)
                    given_up.append(pack)
        return given_up

    def _jobs(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield the packs that are not stored whole, drawn only when the cluster has room."""
        packs, request = self._cohort.packs, self._request
        epochs = packs.study.epochs + 1
        for number, name in enumerate(packs.names()):
            if len(self._progress.begin(name)) == epochs:
                if name in self._given_up_before:
                    self.run.quarantine.clear(name)
                continue
            self._numbers[name] = number
            yield name, (packs, number, str(self.run), request.device, request.threads, self._resources.way)

    def _failed(self, name: str, error: Exception, attempts: int) -> int:
        """Log a failed attempt. Return how many epochs the pack has stored."""
        cause = getattr(error, "cause", None) or error
        if isinstance(cause, PlaceError):
            raise PlaceError(str(cause))
        check_there(self.run)
        self._logger.warning("%s failed, attempt %d: %s", name, attempts, _cause(error))
        return self._progress.stored(name)

    def _trained(self, name: str, summary: Any) -> None:
        if name in self._given_up_before:
            self.run.quarantine.clear(name)
        self._progress.settle(name)
        for note in summary.notes:
            self._logger.warning("%s", note)
        self._logger.info(
            "%s: %d epochs stored in %.1f s, %d diverged", name, summary.stored, summary.seconds, summary.diverged
        )


def _cause(error: Exception) -> str:
    """Return in one line what went wrong in a worker, without its traceback."""
    cause = getattr(error, "cause", None) or error
    return f"{type(cause).__name__}: {first_line(cause)}" if str(cause).strip() else type(cause).__name__
