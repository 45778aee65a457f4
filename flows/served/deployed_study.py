"""The form of `study`: train every network of a preset, analyse their spectra, write the report."""

from typing import Any

from flows.jobs import form_of
from flows.parameters import AnalysisParameters
from flows.served.changes import Changes, ChangesGroup, Details, DetailsGroup
from flows.served.forms import AnalysisGroup, PackResources, PacksGroup, PresetName, ResultsName, submitted
from flows.study import study as flow


@form_of(flow)
def study(
    preset: PresetName = "digits",
    results: ResultsName = "",
    changes: ChangesGroup = Changes(),
    details: DetailsGroup = Details(),
    analysis: AnalysisGroup = AnalysisParameters(),
    packs: PacksGroup = PackResources(),
) -> Any:
    """Train every network of a study, analyse their Lyapunov spectra, and write a report.

    Submitted unchanged, the form runs the preset `digits`. Submitted again, it continues where a run was stopped.

    Args:
        preset: The study to run.
        results: Letters, digits, - and _; empty for the preset's name.
        changes: How many networks of which cells and sizes, for how long, on which data.
        details: Task, ranges that are drawn from, spectra and mini-batches.
        analysis: How spectra are turned into predictions.
        packs: Cores and GPUs for the networks that are trained side by side, and what happens when they fail.
    """
    asked = submitted(preset, results, changes, details, packs)
    return flow.fn(asked.study, asked.directory, analysis, asked.resources)
