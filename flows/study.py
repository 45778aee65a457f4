"""The main job: sweep, then analyse."""

from typing import Any

from aelle_core.analysis.prepare import check_enough_networks
from aelle_core.files.places import resolved
from aelle_core.study import RunDirectory
from flows.analyse import run_analysis
from flows.jobs import completed, job
from flows.parameters import AnalysisParameters, Resources, StudyParameters
from flows.processes.cluster import ray_cluster
from flows.sweep import train_networks


@job("AeLLE study")
def study(
    study: StudyParameters,
    directory: str,
    parameters: AnalysisParameters | None = None,
    resources: Resources | None = None,
) -> Any:
    """Train every network of a study, then analyse their spectra and write the report. Returns the report's path.

    The final state's message names the packs that were quarantined because every attempt failed.

    Args:
        study: Which networks to train on what.
        directory: Where the results go; shared by all nodes of the cluster.
        parameters: How spectra are turned into predictions.
        resources: Where packs run, and what each of them takes.
    """
    directory, resources = resolved(directory), resources or Resources()
    planned = study.to_study()
    check_enough_networks(planned)
    with ray_cluster(resources, {}):  # one cluster for both halves, which say what they need
        train_networks(planned, directory, resources)
        run_analysis(directory, parameters or AnalysisParameters(), resources)
    run = RunDirectory(directory)
    return completed(run, str(run.report), f"report: {run.report}")
