"""The main job: sweep, then analyse."""

from prefect import flow

from aelle_core.study import RunDirectory
from flows.analyse import analyse
from flows.parameters import AnalysisParameters, Resources, StudyParameters
from flows.processes.cluster import ray_cluster
from flows.processes.stale_runs import record_process
from flows.sweep import completed, sweep


@flow(name="study", persist_result=False, on_running=[record_process])
def study(
    study: StudyParameters,
    directory: str,
    parameters: AnalysisParameters | None = None,
    resources: Resources | None = None,
) -> str:
    """Train every network of a study, then analyse their spectra and write the report. Returns the report's path.

    The final state's message names the packs that were quarantined: that failed in every attempt.

    Args:
        study: Which networks to train on what.
        directory: Where the results go; shared by all nodes of the cluster.
        parameters: How spectra are turned into predictions.
        resources: Where packs run, and what each of them takes.
    """
    resources = resources or Resources()
    with ray_cluster(resources, {}):  # one cluster for both halves, which say what they need
        done = sweep(study, directory, resources)
        report = analyse(done, parameters, resources)
    return completed(report, RunDirectory(done))
