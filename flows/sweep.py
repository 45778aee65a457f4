"""The flow that trains every network of a study: a Prefect task per cohort, a Ray task per pack."""

from collections.abc import Iterator
from typing import Any

from prefect.futures import PrefectFuture, as_completed

from aelle_core.files.places import resolved
from aelle_core.study import Cohort, QuarantinedPack, RunDirectory, Study, cohorts
from aelle_core.study.quarantine import quarantined_sentence
from aelle_core.tasks import get_task
from flows.cohort import stopping_together, train_cohort
from flows.jobs import COHORTS_AT_ONCE, completed, job
from flows.mistakes import SweepError
from flows.parameters import Resources, StudyParameters
from flows.processes.cluster import ray_cluster
from flows.processes.run_lock import run_lease
from flows.progress.cohort import STAGE
from flows.progress.display import display


@job("AeLLE sweep")
def sweep(study: StudyParameters, directory: str, resources: Resources | None = None) -> Any:
    """Train every network of a study and store its losses and spectra after every epoch. Returns the directory.

    The final state's message names the packs that were quarantined because every attempt failed.

    Args:
        study: Which networks to train on what.
        directory: Where the results go; shared by all nodes of the cluster.
        resources: Where packs run, and what each of them takes.
    """
    run = RunDirectory(resolved(directory))
    train_networks(study.to_study(), str(run), resources or Resources())
    return completed(run, str(run), f"results: {run}")


def train_networks(plan: Study, directory: str, resources: Resources) -> None:
    """Train every network of a study that is not stored yet, as tasks of the flow run that calls this.

    Continues where an earlier run in the same directory was stopped. Packs that fail in every attempt are quarantined:
    recorded in the directory, and tried again by the next call. Raises SweepError when no pack could be trained at
    all, and PlaceError when the directory fails under way.
    """
    resources.check_cohorts(plan)
    run = RunDirectory(directory)
    data = get_task(plan.task, seed=plan.seed, options=plan.task_options)
    data.check(plan.batch_size, plan.warmup)
    run.check(plan)
    run.prepare(plan, data.statement())
    data.keep_with(run.path)
    groups = cohorts(plan)
    wanted = {group.name: resources.of_cohort(group.cell, group.units) for group in groups}
    with run_lease(directory), ray_cluster(resources, wanted):
        display().start(STAGE, plan.total_networks * (plan.epochs + 1), "network epochs")
        given_up = [pack for packs in _trained(groups, run, resources) for pack in packs]
    if given_up and len(given_up) == sum(len(group.packs) for group in groups):
        raise SweepError(f"no pack could be trained: {quarantined_sentence(given_up)}")


def _trained(groups: list[Cohort], run: RunDirectory, resources: Resources) -> Iterator[list[QuarantinedPack]]:
    """Train the cohorts, few at a time so that thousands do not wait in Prefect, and yield the packs each gave up.

    When a cohort fails, its error is raised after all others are done; when the directory of the results fails, all
    cohorts stop.
    """
    waiting = iter(groups)
    running: list[PrefectFuture[list[QuarantinedPack]]] = []
    errors: list[Exception] = []
    with stopping_together() as stop:
        while True:
            while not stop.cause and len(running) < COHORTS_AT_ONCE and (group := next(waiting, None)):
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
