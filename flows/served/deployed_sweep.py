"""The form of `sweep`: train every network of a preset and store losses and spectra."""

from typing import Any

from flows.jobs import form_of
from flows.served.changes import Changes, ChangesGroup, Details, DetailsGroup
from flows.served.forms import PackResources, PacksGroup, PresetName, ResultsName, submitted
from flows.sweep import sweep as flow


@form_of(flow)
def sweep(
    preset: PresetName = "digits",
    results: ResultsName = "",
    changes: ChangesGroup = Changes(),
    details: DetailsGroup = Details(),
    packs: PacksGroup = PackResources(),
) -> Any:
    """Train every network of a study and store their losses and Lyapunov spectra, without analysing them.

    Submitted unchanged, the form trains the preset `digits`. Submitted again, it continues where a run was stopped.

    Args:
        preset: The study to train.
        results: Letters, digits, - and _; empty for the preset's name.
        changes: How many networks of which cells and sizes, for how long, on which data.
        details: Task, ranges that are drawn from, spectra and mini-batches.
        packs: Cores and GPUs for the networks that are trained side by side, and what happens when they fail.
    """
    asked = submitted(preset, results, changes, details, packs)
    return flow.fn(asked.study, asked.directory, asked.resources)
