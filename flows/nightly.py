"""The nightly job: complete earlier nights, train fresh networks, refit on all nights' networks, report drift."""

import re
from collections.abc import Sequence
from typing import Any

from prefect import get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event
from prefect.states import Completed, State

from aelle_core.analysis.nights.drift import Check, checks, network_summaries
from aelle_core.analysis.nights.history import History
from aelle_core.analysis.trained import Trained, joint_examples
from aelle_core.evaluation import Summary
from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError
from aelle_core.study import RunDirectory, Study
from aelle_core.study.nights import Nights, is_trained
from aelle_core.tasks import get_task
from flows.analyse import run_analysis
from flows.jobs import job
from flows.mistakes import SweepError
from flows.parameters import AnalysisParameters, Resources, StudyParameters
from flows.processes.cluster import ray_cluster
from flows.sweep import train_networks

DRIFT = "aelle.drift"
"""The event of a metric that has drifted: its resource is aelle.RESULTS.METRIC-of-CLASSIFIER."""


class DriftError(RuntimeError):
    """A metric lies outside of what the night before lets expect; the message has both."""


@task(name="drift check", task_run_name="{check.name}", cache_policy=NO_CACHE, persist_result=False)
def check_drift(check: Check, series: str, night: str, before: str) -> None:
    """Fail, after emitting the event aelle.drift, when a metric has drifted since the night before."""
    if not check.drifted:
        return
    slug = re.sub(r"[^a-z0-9]+", "-", check.name.lower()).strip("-")
    emit_event(
        DRIFT,
        resource={"prefect.resource.id": f"aelle.{series}.{slug}", "prefect.resource.name": check.name},
        payload={
            "night": night,
            "before": before,
            "tonight": [check.tonight.mean, check.tonight.low, check.tonight.high],
            "the night before": [check.before.mean, check.before.low, check.before.high],
        },
    )
    raise DriftError(f"{check}")


@task(name="publish night", cache_policy=NO_CACHE, persist_result=False)
def publish(directory: str, night: str, finished: Sequence[str], measured: Sequence[Summary]) -> list[Check]:
    """Keep the night's metrics in the history, put them beside the last night's into an artifact, and compare.

    `finished` are the dates of all nights that were analysed together, `measured` the classifiers' metrics on them.
    """
    series = RunDirectory(directory)
    history, study = History(series), series.study()
    own = joint_examples([Trained.of(Nights(series).run(night))])[0][study.epochs]
    summaries = [summary for summary in measured if summary.epoch in (0, study.epochs)] + network_summaries(own)
    history.add(night, study.total_networks * len(finished), summaries)
    before = history.before(night)
    compared = checks(summaries, history.of(before), study.epochs) if before else []
    create_table_artifact(
        key="nightly-metrics",
        table=[_row(change) for change in compared] or [{"metric": "none yet", "tonight": night}],
        description=f"{series}: night {night} beside {before or 'none before'}",
    )
    return compared


def _row(check: Check) -> dict[str, str]:
    return {
        "metric": check.name,
        "tonight": check.tonight.shown,
        "the night before": check.before.shown,
        "drifted": "yes" if check.drifted else "no",
    }


@job("AeLLE nightly")
def nightly(
    study: StudyParameters,
    directory: str,
    night: str,
    parameters: AnalysisParameters | None = None,
    resources: Resources | None = None,
) -> Any:
    """Do all that belongs to the night of one date: train its networks, analyse all nights together, compare.

    Continues where it was stopped. The state's message names earlier nights that cannot be completed and are left out,
    and the metrics that have drifted. Raises UserError when the directory holds nights of another study, and SweepError
    when none of tonight's networks could be trained.

    Args:
        study: The study that every night trains with networks of that night.
        directory: Where the results of all nights go.
        night: The night's date, YYYY-MM-DD.
        parameters: How spectra are turned into predictions.
        resources: Where packs run, and what each of them takes.
    """
    resources = resources or Resources()
    with ray_cluster(resources, {}):  # one cluster for all of the night
        return _night(study.to_study(), directory, night, parameters or AnalysisParameters(), resources)


def _night(plan: Study, directory: str, night: str, parameters: AnalysisParameters, resources: Resources) -> State[Any]:
    series = RunDirectory(directory)
    data = get_task(plan.task, seed=plan.seed, options=plan.task_options)
    data.check(plan.batch_size, plan.warmup)
    series.prepare(plan, data.statement())
    nights = Nights(series)
    others = [other for other in nights.begun() if other != night]
    missing = [other for other in others if not is_trained(nights.run(other))]
    left_out = [other for other in missing if other < night and not _complete(nights, other, resources)]
    later = [other for other in missing if other > night]  # theirs to complete
    _train(nights, night, resources)
    finished = sorted({*others, night} - {*left_out, *later})
    shown = run_analysis(directory, parameters, resources, finished)
    compared = publish(directory, night, finished, shown.summaries)
    before = History(series).before(night) or ""
    for check in compared:
        check_drift(check, series.path.name, night, before, return_state=True)
    drifted = [check.name for check in compared if check.drifted]
    sentences = [f"night {night}: {counted(len(finished), 'night')} analysed" + " together" * (len(finished) > 1)]
    sentences += [f"not finished and left out: {', '.join(left_out)}"] if left_out else []
    sentences += [f"drifted: {', '.join(drifted)}"] if drifted else []
    return Completed(message="; ".join(sentences))


def _complete(nights: Nights, night: str, resources: Resources) -> bool:
    """Train a night's missing networks. Return whether that was possible."""
    try:
        _train(nights, night, resources)
    except (UserError, SweepError) as error:
        get_run_logger().warning("night %s cannot be completed: %s", night, error)
        return False
    return True


def _train(nights: Nights, night: str, resources: Resources) -> None:
    train_networks(nights.study(night), str(nights.run(night)), resources)
