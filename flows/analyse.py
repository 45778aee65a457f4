"""The flow that turns a finished study's spectra into AeLLE, classifiers, metrics and a report."""

import base64
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from prefect import get_run_logger, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from aelle_core.aelle.estimator import AeLLE
from aelle_core.analysis.prepare import Analysis, prepare_joint_analysis
from aelle_core.analysis.report import draw_report, report_data
from aelle_core.analysis.saved import fit_aelle, save_analysis
from aelle_core.analysis.trained import trained_studies
from aelle_core.evaluation import Measurement, standings
from aelle_core.evaluation.metrics import METRICS
from aelle_core.files.places import resolved
from aelle_core.report import ReportData
from aelle_core.report.figures import figures
from aelle_core.study import RunDirectory
from flows.jobs import completed, job
from flows.parameters import AnalysisParameters, Request, Resources
from flows.processes.cluster import ray_cluster
from flows.processes.run_lock import run_lease
from flows.progress.display import display
from flows.ray_tasks.fan_out import fan_out
from flows.ray_tasks.measure_split import measure_split
from flows.report_link import report_link

_STAGE = "Analysing"


@task(name="load spectra", cache_policy=NO_CACHE, persist_result=False)
def load(directory: str, parameters: AnalysisParameters, finished: Sequence[str] | None) -> Analysis:
    """Read every network's losses and spectra from the store, and draw the splits."""
    trained = trained_studies(RunDirectory(directory), finished)
    return prepare_joint_analysis(trained, splits=parameters.splits, seed=parameters.seed)


@task(name="measure classifiers", cache_policy=NO_CACHE, persist_result=False)
def measure(analysis: Analysis, parameters: AnalysisParameters, resources: Resources) -> list[Measurement]:
    """Fit and score every classifier and baseline on every split, one Ray task for each split."""
    aelle_parameters = {"target": parameters.regress}
    measurements: list[Measurement] = []
    request = Request(resources.cpus_per_pack)
    with ray_cluster(resources, {"splits": request}):
        import ray

        shared = ray.put(analysis.examples)  # one copy on each node, not one for each split
        jobs = (
            (f"split {split.number}", (shared, split, analysis.threshold, aelle_parameters, parameters.seed))
            for split in analysis.splits
        )
        with closing(fan_out(measure_split, jobs, request, resources)) as outcomes:
            for outcome in outcomes:
                if outcome.error is not None:
                    raise outcome.error
                measurements += outcome.result
                display().advance(_STAGE, 1, f"classifiers, {outcome.name}")
    return sorted(measurements, key=lambda measurement: (measurement.split, measurement.epoch, measurement.classifier))


@task(name="fit AeLLE", cache_policy=NO_CACHE, persist_result=False)
def fit(directory: str, analysis: Analysis, measurements: list[Measurement], parameters: AnalysisParameters) -> None:
    """Fit the AeLLE of the report's plane (to the first split's training networks) and the one that is kept (to all
    networks), and save the analysis."""
    run = RunDirectory(directory)
    how: dict[str, Any] = {"target": parameters.regress, "random_state": parameters.seed}
    final = analysis.examples[run.study().epochs]
    plane, kept = fit_aelle(analysis, run.study(), how), AeLLE(**how).fit(final.spectra, final.final_loss)
    save_analysis(run, measurements, plane, parameters.model_dump(), kept)
    display().advance(_STAGE, 1, "autoencoder")


@task(name="report", cache_policy=NO_CACHE, persist_result=False)
def report(directory: str, analysis: Analysis) -> ReportData:
    """Draw the figures and the report. Returns what they show."""
    run = RunDirectory(directory)
    data = report_data(run, analysis)
    draw_report(run, data)
    display().advance(_STAGE, 1, "report")
    return data


@task(name="publish metrics", cache_policy=NO_CACHE, persist_result=False)
def publish(directory: str, data: ReportData) -> None:
    """Put the metrics, the figures, and the link to the report into Prefect's artifacts."""
    run = RunDirectory(directory)
    create_table_artifact(
        key="classifier-metrics",
        table=metrics_table(data, data.last_epoch),
        description=f"{data.study['identity']}: predicting the final outcome, after epoch {data.last_epoch}",
    )
    create_markdown_artifact(key="report", markdown=report_markdown(data, run), description=f"Report: {run.report}")
    if link := report_link(run):
        create_link_artifact(link, "Open the report", key="open-the-report", description=data.title)


def metrics_table(data: ReportData, epoch: int) -> list[dict[str, str]]:
    """One row for each classifier at `epoch`, best F1 first: mean and 95 % interval of every metric, F1 before the
    others."""
    return [
        {
            "predictor": standing.classifier,
            "what it knows": standing.kind,
            **{words: standing.metrics[name].shown for name, words in METRICS.items() if name in standing.metrics},
        }
        for standing in standings(data.summaries, epoch)
    ]


def report_markdown(data: ReportData, run: RunDirectory) -> str:
    """Return the verdicts and figures of a run as Markdown, with a link to its report where the server shows one."""
    link = report_link(run)
    lines = [f"# {data.title}", "", *([f"[Open the whole report]({link})", ""] if link else [])]
    lines += [*(f"- {sentence}" for sentence in data.verdicts), ""]
    for name, figure in figures.items():
        if (drawn := run.figures / f"{name}.png").exists():
            content = base64.b64encode(drawn.read_bytes()).decode()
            picture = f"![{figure.title}](data:image/png;base64,{content})"
            lines += [f"## {figure.title}", "", figure.caption, "", picture, ""]
    return "\n".join(lines)


@job("AeLLE analyse")
def analyse(directory: str, parameters: AnalysisParameters | None = None, resources: Resources | None = None) -> Any:
    """Train the autoencoder on a finished study's spectra, score all classifiers, and write the report.

    Returns the report's path.

    Args:
        directory: Where the study's results lie.
        parameters: How spectra are turned into predictions.
        resources: Where the splits are computed.
    """
    run = RunDirectory(resolved(directory))
    run_analysis(str(run), parameters or AnalysisParameters(), resources or Resources())
    return completed(run, str(run.report), f"report: {run.report}")


def run_analysis(
    directory: str, parameters: AnalysisParameters, resources: Resources, finished: Sequence[str] | None = None
) -> ReportData:
    """Analyse a study, or all nights of a series, and write the report. Returns what the report shows.

    The analyse, study and nightly flows share this; its artifacts belong to the flow run that calls it. `finished` are
    the dates of the series' finished nights, where they are known. Raises UserError when the study is not finished.
    """
    with run_lease(directory):
        analysis = load(directory, parameters, finished)
        display().start(_STAGE, parameters.splits + 2, "steps")
        measurements = measure(analysis, parameters, resources)
        fit(directory, analysis, measurements, parameters)
        data = report(directory, analysis)
        publish(directory, data)
    display().show(data)
    get_run_logger().info("report: %s", RunDirectory(directory).report)
    return data
