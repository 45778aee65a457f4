"""The deployment `study`: train every network of a preset, analyse their spectra, write the report."""

from typing import Any

from prefect import flow

from flows.parameters import AnalysisParameters, StudyParameters
from flows.served.forms import Changes, PackResources, PresetName, resources
from flows.served.mistakes import fails_in_one_sentence, passed_on
from flows.served.settings import ServedSettings
from flows.stale_runs import record_process
from flows.study import study as whole_study


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
    directory = settings.results(results or plan.name)
    return passed_on(whole_study, StudyParameters(**plan.to_dict()), directory, analysis, resources(packs, settings))
