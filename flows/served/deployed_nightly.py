"""The form of `nightly`: a fresh cohort of networks every night, and what has changed since the last."""

from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from prefect import runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.schedules import CronSchedule

from flows.jobs import form_of
from flows.nightly import nightly as flow
from flows.parameters import AnalysisParameters, StudyParameters
from flows.served.changes import Changes, ChangesGroup, Details, DetailsGroup, changed_preset
from flows.served.forms import AnalysisGroup, PackResources, PacksGroup, PresetName, ResultsName, resources
from flows.served.night_date import night_date
from flows.served.settings import ServedSettings


@form_of(flow)
def nightly(
    preset: PresetName = "digits",
    results: ResultsName = "nightly",
    night: str = "",
    changes: ChangesGroup = Changes(),
    details: DetailsGroup = Details(),
    analysis: AnalysisGroup = AnalysisParameters(),
    packs: PacksGroup = PackResources(),
) -> Any:
    """Complete earlier nights, train fresh networks, refit AeLLE on those of all nights, and check for drift.

    A night's date and the study's seed decide its networks. Two nights never run at once.

    Args:
        preset: The study that every night trains with fresh networks.
        results: The results of all nights: letters, digits, - and _.
        night: The night's date, YYYY-MM-DD; empty for the date on which the run was to start.
        changes: How many networks of which cells and sizes, for how long, on which data.
        details: Task, ranges that are drawn from, spectra and mini-batches.
        analysis: How spectra are turned into predictions.
        packs: Cores and GPUs for the networks that are trained side by side, and what happens when they fail.
    """
    settings = ServedSettings()
    study = StudyParameters(**changed_preset(preset, changes, details, settings).to_dict())
    date = night or _tonight(settings.timezone)
    return flow.fn(study, settings.results(results), date, analysis, resources(packs, settings))


def _tonight(timezone: str) -> str:
    """Return the date on which this run was to start: one that waits, or is tried again the next day, keeps its
    night."""
    planned: datetime = runtime.flow_run.scheduled_start_time
    return date.isoformat(night_date(planned, ZoneInfo(timezone), _crons()))


def _crons() -> list[str]:
    """Return the cron expressions of this run's deployment, where a schedule has started it."""
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(runtime.flow_run.id))
        if not run.auto_scheduled or run.deployment_id is None:
            return []
        schedules = client.read_deployment(run.deployment_id).schedules
    return [entry.schedule.cron for entry in schedules if isinstance(entry.schedule, CronSchedule)]
