"""The report's contents, from a run's store and its saved analysis."""

import dataclasses
import json
from collections.abc import Sequence

import numpy as np

from aelle_core.aelle.estimator import AeLLE
from aelle_core.analysis.kept_tables import study_tables
from aelle_core.analysis.prepare import Analysis, prepare_joint_analysis
from aelle_core.analysis.saved import saved_measurements
from aelle_core.analysis.shown_runs import exponents_of_system, shown_runs
from aelle_core.analysis.trained import own_threshold, trained_studies
from aelle_core.evaluation import Measurement, all_networks, classifiers, good_fraction_by_cell, summarise, verdicts
from aelle_core.evaluation.tables.material import MINIMUM
from aelle_core.files.places import Place
from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError
from aelle_core.report import ReportData, draw_figures, save_figures, save_networks, write_report
from aelle_core.study import RunDirectory, Study
from aelle_core.study.joint import joined_name, members
from aelle_core.study.nights import Nights
from aelle_core.tasks import get_task, tasks


def report_data(run: RunDirectory, analysis: Analysis | None = None) -> ReportData:
    """Return the report's contents, from the store and the saved analysis.

    `analysis` is what was saved, where it is at hand; otherwise the store is read again. Raises UserError when no
    analysis was saved yet, and naming the file that cannot be read.
    """
    held = run.read_settings()
    study = run.study()
    try:
        settings = json.loads((run.analysis / "analysis.json").read_text())
    except FileNotFoundError as error:
        raise UserError(f"no analysis in {str(run)!r}: expected one made by `aelle analyse {run}`") from error
    if analysis is None:
        analysis = prepare_joint_analysis(trained_studies(run), splits=settings["splits"], seed=settings["seed"])
    trained, joined = analysis.trained, " ".join(map(str, members(run)))
    aelle = AeLLE.load(run.analysis / "plane.safetensors")
    data = shown(analysis, study, aelle, saved_measurements(run), loss_name=run.loss_name())
    return dataclasses.replace(
        data,
        versions=held["versions"],
        seeds={
            "study seed": [part.study.seed for part in trained] if joined else study.seed,
            "analysis": settings,
            "data": held["data"],
        },
        tables=study_tables(run, study, analysis, settings) if len(data.final) >= MINIMUM else [],
        illustration=_illustration(study, run),
        free_runs=shown_runs(run, study, data.final),
        data_location=joined or str(Nights(run).path if analysis.nights else run.path / "spectra"),
        command=f"aelle analyse {joined} --together {run}" if joined else f"aelle study {study.name}",
    )


def shown(
    analysis: Analysis,
    study: Study,
    aelle: AeLLE,
    measurements: Sequence[Measurement],
    *,
    loss_name: str | None = None,
) -> ReportData:
    """Return what the figures of an analysis are drawn from; `study` is what it goes by. What a report says of a run,
    its versions, tables and places, is empty, and its task is not shown. `loss_name` is the task's by default."""
    nights = analysis.nights
    return ReportData(
        title=_title(study, nights, [part.study for part in analysis.trained]),
        study=study.to_dict() | {"identity": study.identity},
        versions={},
        seeds={},
        examples_by_epoch=analysis.examples,
        aelle=aelle,
        test_networks=analysis.splits[0].test,
        threshold=analysis.threshold,
        threshold_origin=_origin(analysis),
        loss_name=loss_name or tasks[study.task].loss_name,
        summaries=summarise(measurements),
        classifier_descriptions={name: entry.description for name, entry in classifiers.items()},
        verdicts=[*filter(None, [analysis.missing]), *verdicts(measurements, study.epochs, study.goal)],
        good_fraction_by_cell=good_fraction_by_cell(all_networks(analysis.examples), analysis.threshold),
        tables=[],
        illustration="The task's data were not asked for.",
        status_counts=analysis.status_counts,
        data_location="",
        command="",
        system_exponents={} if study.goal == "loss" or analysis.across_systems else exponents_of_system(study),
        exponent_unit=analysis.unit,
    )


def _origin(analysis: Analysis) -> str:
    if own_threshold(analysis.trained) is not None:
        return "as the study says"
    return "the median of all" if len(analysis.trained) == 1 else "the median of each seed, scaled to that of all"


def _title(study: Study, nights: Sequence[str], studies: Sequence[Study]) -> str:
    if nights:
        return f"{study.name}, {counted(len(nights), 'night')} from {nights[0]} to {nights[-1]}"
    return joined_name(study.name, studies)


def _illustration(study: Study, run: RunDirectory) -> list[tuple[str, np.ndarray]] | str:
    """Return what the task looks like; in one sentence why not, where its data are not on this machine."""
    try:
        return get_task(study.task, seed=study.seed, options=study.task_options).found_with(run.path).illustration()
    except UserError as error:
        return str(error)


def draw_report(run: RunDirectory, data: ReportData) -> Place:
    """Draw the figures and the report of a run, and save them with a table of the networks. Returns the report's
    path."""
    pictures = draw_figures(data)
    save_figures(pictures, run.figures)
    saved = [path.name for path in save_networks(data, run.analysis)]
    files = [f"analysis/{name}" for name in (*saved, "measurements.parquet", "aelle.safetensors")]
    return write_report(data, pictures, run.report, files)
