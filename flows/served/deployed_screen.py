"""The form of `screen`: rank untrained networks of a preset by their spectra, and train the best of them."""

from typing import Any

from aelle_core.pretrained import manifest
from flows.jobs import form_of
from flows.parameters import ScreeningParameters
from flows.screen import screen as flow
from flows.served.changes import Changes, ChangesGroup, Details, DetailsGroup
from flows.served.forms import PackResources, PacksGroup, PresetName, ResultsName, submitted
from flows.served.settings import ServedSettings


@form_of(flow)
def screen(
    preset: PresetName = "digits",
    results: ResultsName = "",
    screening: ScreeningParameters = ScreeningParameters(),
    changes: ChangesGroup = Changes(),
    details: DetailsGroup = Details(),
    packs: PacksGroup = PackResources(),
) -> Any:
    """Rank untrained networks by the loss to expect from their Lyapunov spectra, and train the best of them.

    Args:
        preset: The study whose ranges candidates are drawn from.
        results: Letters, digits, - and _; empty for the preset's name, followed by -screened.
        screening: How candidates are chosen, by a predictor that learns from a set that ships or from finished results.
        changes: How many networks of which cells and sizes, for how long, on which data.
        details: Task, ranges that are drawn from, spectra and mini-batches.
        packs: Cores and GPUs for the networks that are trained side by side, and what happens when they fail.
    """
    asked = submitted(preset, results or f"{preset}-screened", changes, details, packs)
    source = screening.source
    if source not in manifest():
        screening = screening.model_copy(update={"source": ServedSettings().results(source)})
    return flow.fn(asked.study, asked.directory, screening, asked.resources)
