"""The form of `study`: train every network of a preset, analyse their spectra, write the report."""

from typing import Any

from flows.jobs import form_of
from flows.parameters import AnalysisParameters
from flows.served.forms import Changes, PackResources, PresetName, submitted
from flows.study import study as flow


@form_of(flow)
def study(
    preset: PresetName = "digits",
    results: str = "",
    changes: Changes = Changes(),
    analysis: AnalysisParameters = AnalysisParameters(),
    packs: PackResources = PackResources(),
) -> Any:
    """Train every network of a study, analyse their Lyapunov spectra, and write a report.

    Submitted unchanged, the form runs the preset `digits`. Submitted again, it continues where a run was stopped.

    Args:
        preset: The study to run.
        results: Name of the results: letters, digits, - and _; empty for the preset's.
        changes: What is to be different from the preset.
        analysis: How spectra are turned into predictions.
        packs: What each pack of networks takes on the cluster.
    """
    asked = submitted(preset, results, changes, packs)
    return flow.fn(asked.study, asked.directory, analysis, asked.resources)
