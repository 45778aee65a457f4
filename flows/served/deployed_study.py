"""The deployment `study`: train every network of a preset, analyse their spectra, write the report."""

from typing import Any

from prefect import flow
from prefect.states import Completed

from aelle_core.study import RunDirectory
from flows.analyse import run_analysis
from flows.parameters import AnalysisParameters, StudyParameters
from flows.processes.cluster import ray_cluster
from flows.processes.stale_runs import WATCHED
from flows.served.forms import Changes, PackResources, PresetName, submitted
from flows.served.mistakes import fails_in_one_sentence
from flows.sweep import sweep as whole_sweep


@flow(name="AeLLE study", persist_result=False, **WATCHED)
@fails_in_one_sentence
def study(
    preset: PresetName = "digits",
    results: str = "",
    changes: Changes = Changes(),
    analysis: AnalysisParameters = AnalysisParameters(),
    packs: PackResources = PackResources(),
) -> Any:
    """Train every network of a study, analyse their Lyapunov spectra, and write a report.

    Submitted as it is, the form runs the preset `digits`. The same form again goes on where a run was stopped.

    Args:
        preset: The study to run.
        results: Name of the results: letters, digits, - and _; empty for the preset's.
        changes: What is to be different from the preset.
        analysis: How spectra are turned into predictions.
        packs: What each pack of networks takes on the cluster.
    """
    asked = submitted(preset, results, changes, packs)
    with ray_cluster(asked.resources, {}):  # one cluster for both halves, which say what they need
        parameters = StudyParameters(**asked.study.to_dict())
        trained = whole_sweep(parameters, asked.directory, asked.resources, return_state=True)
        trained.result()  # raises where it failed
        run_analysis(asked.directory, analysis, asked.resources)  # metrics and figures are this run's own artifacts
    report = f"report: {RunDirectory(asked.directory).report}"
    return Completed(message="; ".join(filter(None, [trained.message, report])))
