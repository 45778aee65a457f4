"""The deployment `analyse`: from stored spectra to AeLLE, metrics and a report."""

from typing import Any

from prefect import flow
from prefect.states import Completed

from aelle_core.study import RunDirectory
from flows.analyse import run_analysis
from flows.parameters import AnalysisParameters
from flows.processes.stale_runs import WATCHED
from flows.served.forms import PackResources, resources
from flows.served.mistakes import fails_in_one_sentence
from flows.served.settings import ServedSettings


@flow(name="AeLLE analyse", persist_result=False, **WATCHED)
@fails_in_one_sentence
def analyse(
    results: str = "digits",
    analysis: AnalysisParameters = AnalysisParameters(),
    packs: PackResources = PackResources(),
) -> Any:
    """Train the autoencoder on stored spectra, score all classifiers, and write the report.

    Args:
        results: Name of the results, as `study` or `sweep` was given it; of the preset where it was given none.
        analysis: How spectra are turned into predictions.
        packs: What each split of the data takes on the cluster.
    """
    settings = ServedSettings()
    directory = settings.results(results)
    run_analysis(directory, analysis, resources(packs, settings))  # metrics and figures are this run's own artifacts
    return Completed(message=f"report: {RunDirectory(directory).report}")
