"""The form of `analyse`: from stored spectra to AeLLE, metrics and a report."""

from typing import Any

from flows.analyse import analyse as flow
from flows.jobs import form_of
from flows.parameters import AnalysisParameters
from flows.served.forms import PackResources, resources
from flows.served.settings import ServedSettings


@form_of(flow)
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
    return flow.fn(settings.results(results), analysis, resources(packs, settings))
