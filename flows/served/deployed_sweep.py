"""The deployment `sweep`: train every network of a preset and store losses and spectra."""

from typing import Any

from prefect import flow

from flows.parameters import StudyParameters
from flows.processes.stale_runs import WATCHED
from flows.served.forms import Changes, PackResources, PresetName, submitted
from flows.served.mistakes import fails_in_one_sentence, passed_on
from flows.sweep import sweep as whole_sweep


@flow(name="AeLLE sweep", persist_result=False, **WATCHED)
@fails_in_one_sentence
def sweep(
    preset: PresetName = "digits",
    results: str = "",
    changes: Changes = Changes(),
    packs: PackResources = PackResources(),
) -> Any:
    """Train every network of a study and store their losses and Lyapunov spectra, without analysing them.

    Submitted as it is, the form trains the preset `digits`. The same form again goes on where a run was stopped.

    Args:
        preset: The study to train.
        results: Name of the results: letters, digits, - and _; empty for the preset's.
        changes: What is to be different from the preset.
        packs: What each pack of networks takes on the cluster.
    """
    asked = submitted(preset, results, changes, packs)
    return passed_on(whole_sweep, StudyParameters(**asked.study.to_dict()), asked.directory, asked.resources)
