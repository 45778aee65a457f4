"""The deployment `study`: train every network of a preset, analyse their spectra, write the report."""

from typing import Any

from prefect import flow
from prefect.states import Completed

from flows.analyse import analyse as whole_analysis
from flows.cluster import ray_cluster
from flows.parameters import AnalysisParameters, StudyParameters
from flows.served.forms import Changes, PackResources, PresetName, resources
from flows.served.mistakes import fails_in_one_sentence
from flows.served.settings import ServedSettings
from flows.stale_runs import record_process
from flows.sweep import sweep as whole_sweep


@flow(name="AeLLE study", persist_result=False, on_running=[record_process])
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
    settings = ServedSettings()
    plan = changes.study(preset, settings)
    taken = resources(packs, settings)
    with ray_cluster(taken, {}):  # one cluster for both halves, which say what they need
        trained = whole_sweep(
            StudyParameters(**plan.to_dict()), settings.results(results or plan.name), taken, return_state=True
        )
        # Not below this run, but as a part of it: metrics and figures are then among its own artifacts.
        report = whole_analysis.fn(trained.result(), analysis, taken)
    return Completed(message="; ".join(filter(None, [trained.message, f"report: {report}"])))
