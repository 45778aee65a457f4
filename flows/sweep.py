"""The flow that trains every network of a study: a Prefect task per cohort, a Ray task per pack."""

from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture, wait
from prefect.task_runners import ThreadPoolTaskRunner

from aelle_core.study import Cohort, RunDirectory, Study, cohorts
from aelle_core.tasks import get_task
from flows.cluster import fan_out, ray_cluster
from flows.parameters import Resources, StudyParameters
from flows.progress import display
from flows.worker import train_pack

_COHORTS_AT_ONCE = 16
_STAGE = "Training"


class SweepError(RuntimeError):
    """Some packs could not be trained; the message names them. Everything else was stored."""


class _CohortProgress:
    """Follows a cohort's packs by their stored fragments, into the display and a Prefect artifact."""

    def __init__(self, study: Study, cohort: Cohort, run: RunDirectory) -> None:
        self._study, self._cohort, self._store = study, cohort, run.store
        self._packs = {pack.name: pack for pack in cohort.packs}
        self._next_epoch = dict.fromkeys(self._packs, 0)
        self._total = len(self._packs) * (study.epochs + 1)
        self._done = 0
        self._published = 0.0
        self._artifact = create_progress_artifact(
            progress=0.0, key=cohort.name.replace(" ", "-").replace("_", "-"), description=f"Training {cohort.name}"
        )

    def look(self, names: list[str]) -> None:
        """Count the epochs that the named packs have stored since the last look."""
        for name in names:
            pack, epoch = self._packs[name], self._next_epoch[name]
            while epoch <= self._study.epochs and self._store.has(self._study.identity, pack.cell, name, epoch):
                epoch += 1
            if new := epoch - self._next_epoch[name]:
                self._next_epoch[name] = epoch
                self._done += new
                display().advance(_STAGE, new * len(pack.variants), f"{pack.cell} {pack.units}, epoch {epoch - 1}")
        percent = 100.0 * self._done / self._total
        if percent - self._published >= 10 or (self._done == self._total and self._published < 100):
            update_progress_artifact(self._artifact, progress=percent)  # type: ignore[arg-type]
            self._published = percent


@task(name="cohort", task_run_name="{name}", cache_policy=NO_CACHE, persist_result=False)
def train_cohort(name: str, study: Study, cohort: Cohort, directory: str, resources: Resources) -> list[str]:
    """Train the packs of one cohort on Ray. Returns a sentence for each pack that failed after all retries."""
    logger = get_run_logger()
    progress = _CohortProgress(study, cohort, RunDirectory(directory))
    device = "cuda" if resources.gpus_per_pack else "cpu"
    threads = max(1, int(resources.cpus_per_pack))
    jobs = {pack.name: (study, pack, directory, device, threads, resources.way) for pack in cohort.packs}
    failures = []
    for pack, summary, error in fan_out(train_pack, jobs, resources, progress.look):
        progress.look([pack])
        if error is not None:
            failures.append(f"{pack}: {_cause(error)}")
            logger.error("pack %s failed: %s", pack, error)
        else:
            logger.info("%s: %d epochs stored in %.1f s, %d diverged", pack, *_figures(summary))
    return failures


def _figures(summary: Any) -> tuple[int, float, int]:
    return summary.stored, summary.seconds, summary.diverged


def _cause(error: Exception) -> str:
    """The last line of a Ray error: what went wrong in the worker, without its traceback."""
    cause = getattr(error, "cause", None) or error
    return f"{type(cause).__name__}: {str(cause).strip().splitlines()[-1] if str(cause).strip() else 'no message'}"


_RUNNER: Any = ThreadPoolTaskRunner(max_workers=_COHORTS_AT_ONCE)


@flow(name="sweep", task_runner=_RUNNER, persist_result=False)
def sweep(study: StudyParameters, directory: str, resources: Resources | None = None) -> str:
    """Train every network of a study and store its losses and spectra after every epoch.

    Goes on where an earlier run in the same directory was stopped. Returns the directory.

    Args:
        study: Which networks to train on what.
        directory: Where the results go; shared by all nodes of the cluster.
        resources: Where packs run, and what each of them takes.
    """
    resources = resources or Resources()
    plan = study.to_study()
    run = RunDirectory(Path(directory).expanduser().resolve())
    data = get_task(plan.task, seed=plan.seed, options=plan.task_options)
    data.check(plan.batch_size)
    run.check(plan)
    run.prepare(plan, data.statement())
    groups = cohorts(plan)
    with ray_cluster(resources):
        display().start(_STAGE, plan.total_networks * (plan.epochs + 1), "network epochs")
        futures: list[PrefectFuture[list[str]]] = [
            train_cohort.submit(group.name, plan, group, str(run), resources) for group in groups
        ]
        wait(futures)
        failures = [sentence for future in futures for sentence in future.result()]
    if failures:
        raise SweepError(f"{len(failures)} of {sum(len(g.packs) for g in groups)} packs failed: " + "; ".join(failures))
    return str(run)
