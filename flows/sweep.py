"""The flow that trains every network of a study: a Prefect task per cohort, a Ray task per pack."""

from collections.abc import Iterator
from typing import Any

from prefect import flow
from prefect.futures import PrefectFuture, as_completed
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner

from aelle_core.files.places import resolved
from aelle_core.study import Cohort, QuarantinedPack, RunDirectory, cohorts
from aelle_core.study.quarantine import incomplete, quarantined_sentence
from aelle_core.tasks import get_task
from flows.cohort import stopping_together, train_cohort
from flows.parameters import Resources, StudyParameters
from flows.processes.cluster import ray_cluster
from flows.processes.run_lock import run_lease
from flows.processes.stale_runs import record_process
from flows.progress.cohort import STAGE
from flows.progress.display import display

_COHORTS_AT_ONCE = 16


class SweepError(RuntimeError):
    """No pack of a study could be trained; the message says why."""


_RUNNER: Any = ThreadPoolTaskRunner(max_workers=_COHORTS_AT_ONCE)


@flow(name="sweep", task_runner=_RUNNER, persist_result=False, on_running=[record_process])
def sweep(study: StudyParameters, directory: str, resources: Resources | None = None) -> str:
    """Train every network of a study and store its losses and spectra after every epoch.

    Goes on where an earlier run in the same directory was stopped. Packs that fail in every attempt are quarantined:
    recorded in the directory and named in the final state's message; the same call tries them again. Returns the
    directory. Raises SweepError when no pack could be trained at all, and PlaceError when the directory fails under
    way.

    Args:
        study: Which networks to train on what.
        directory: Where the results go; shared by all nodes of the cluster.
        resources: Where packs run, and what each of them takes.
    """
    resources = resources or Resources()
    plan = study.to_study()
    resources.check_cohorts(plan)
    run = RunDirectory(resolved(directory))
    data = get_task(plan.task, seed=plan.seed, options=plan.task_options)
    data.check(plan.batch_size, plan.warmup)
    run.check(plan)
    run.prepare(plan, data.statement())
    data.keep_with(run.path)
    groups = cohorts(plan)
    wanted = {group.name: resources.of_cohort(group.cell, group.units) for group in groups}
    with run_lease(str(run)), ray_cluster(resources, wanted):
        display().start(STAGE, plan.total_networks * (plan.epochs + 1), "network epochs")
        given_up = [pack for each in _trained(groups, run, resources) for pack in each]
    if given_up and len(given_up) == sum(len(group.packs) for group in groups):
        raise SweepError(f"no pack could be trained: {quarantined_sentence(given_up)}")
    return completed(str(run), run)


def completed(result: Any, run: RunDirectory) -> Any:
    """What a flow returns: `result`, in a state whose message names the run's quarantined packs where there are any."""
    given_up = run.quarantine.packs()
    if not given_up:
        return result
    message = incomplete(given_up, run.study().total_networks)
    return Completed(message=message, data=result)


def _trained(groups: list[Cohort], run: RunDirectory, resources: Resources) -> Iterator[list[QuarantinedPack]]:
    """Train the cohorts, so many at a time that thousands do not wait in Prefect, and yield what each gave up.

    One that fails is raised when all others are done; when the place of the results fails, they stop with it.
    """
    waiting = iter(groups)
    running: list[PrefectFuture[list[QuarantinedPack]]] = []
    errors: list[Exception] = []
    with stopping_together() as stop:
        while True:
            while not stop.cause and len(running) < _COHORTS_AT_ONCE and (group := next(waiting, None)):
                running.append(train_cohort.submit(group.name, group, str(run), resources))
            if not running:
                break
            finished = next(as_completed(running))
            running.remove(finished)
            try:
                yield finished.result()
            except Exception as error:
                errors.append(error)
    if errors:
        raise errors[0]
