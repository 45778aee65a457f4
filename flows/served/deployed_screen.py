"""The form of `screen`: rank untrained networks of a preset by their spectra, and train the best of them."""

from typing import Any

from aelle_core.pretrained import manifest
from flows.jobs import form_of
from flows.parameters import ScreeningParameters
from flows.screen import screen as flow
from flows.served.forms import Changes, PackResources, PresetName, submitted
from flows.served.settings import ServedSettings


@form_of(flow)
def screen(
    preset: PresetName = "digits",
    results: str = "",
    screening: ScreeningParameters = ScreeningParameters(),
    changes: Changes = Changes(),
    packs: PackResources = PackResources(),
) -> Any:
    """Rank untrained networks by the loss to expect from their Lyapunov spectra, and train the best of them.

    Args:
        preset: The study whose ranges candidates are drawn from.
        results: Name of the results: letters, digits, - and _; empty for the preset's, followed by -screened.
        screening: How candidates are chosen, by a predictor that learns from a set that ships or from finished results.
        changes: What is to be different from the preset.
        packs: What each pack of networks takes on the cluster.
    """
    asked = submitted(preset, results or f"{preset}-screened", changes, packs)
    source = screening.source
    if source not in manifest():
        screening = screening.model_copy(update={"source": ServedSettings().results(source)})
    return flow.fn(asked.study, asked.directory, screening, asked.resources)
