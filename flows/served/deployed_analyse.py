"""The form of `analyse`: from stored spectra to AeLLE, metrics and a report."""

from typing import Any

from flows.analyse import analyse as flow
from flows.jobs import form_of
from flows.parameters import AnalysisParameters
from flows.served.forms import AnalysisGroup, PackResources, PacksGroup, ResultsName, resources
from flows.served.settings import ServedSettings


@form_of(flow)
def analyse(
    results: ResultsName = "digits",
    analysis: AnalysisGroup = AnalysisParameters(),
    packs: PacksGroup = PackResources(),
) -> Any:
    """Train the autoencoder on stored spectra, score all classifiers, and write the report.

    Args:
        results: As the run that trained them was given it; the preset's name where it was given none.
        analysis: How spectra are turned into predictions.
        packs: Cores and GPUs for each split of the data, and what happens when one fails.
    """
    settings = ServedSettings()
    return flow.fn(settings.results(results), analysis, resources(packs, settings))
