"""The form of `sweep`: train every network of a preset and store losses and spectra."""

from typing import Any

from flows.jobs import form_of
from flows.served.forms import Changes, PackResources, PresetName, submitted
from flows.sweep import sweep as flow


@form_of(flow)
def sweep(
    preset: PresetName = "digits",
    results: str = "",
    changes: Changes = Changes(),
    packs: PackResources = PackResources(),
) -> Any:
    """Train every network of a study and store their losses and Lyapunov spectra, without analysing them.

    Submitted unchanged, the form trains the preset `digits`. Submitted again, it continues where a run was stopped.

    Args:
        preset: The study to train.
        results: Name of the results: letters, digits, - and _; empty for the preset's.
        changes: What is to be different from the preset.
        packs: What each pack of networks takes on the cluster.
    """
    asked = submitted(preset, results, changes, packs)
    return flow.fn(asked.study, asked.directory, asked.resources)
