"""What all forms share: a preset, the name of the results, what packs may take, and the study that comes of it."""

from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import ConfigDict, Field, create_model

from aelle_core.study import Study, presets
from aelle_core.training import ways
from flows.parameters import AnalysisParameters, Resources, StudyParameters
from flows.served.changes import Changes, Details, changed_preset
from flows.served.fields import entry
from flows.served.folding import Folded, folded_title, titled
from flows.served.settings import ServedSettings

_FASTEST = "the fastest on each machine"

if TYPE_CHECKING:
    PresetName = str
    PackResources = Resources
else:
    PresetName = Literal[tuple(presets())]
    PackResources = create_model(
        "PackResources",
        __config__=ConfigDict(extra="forbid"),
        __doc__="What each pack of networks takes on the cluster.",
        **{
            name: entry(name, field)
            for name, field in Resources.model_fields.items()
            if name not in ("ray_address", "way")
        },
        way=(
            Literal[(_FASTEST, *ways)],
            Field(_FASTEST, title="way", description="How packs are trained; bfloat16 and tf32 round more coarsely"),
        ),
    )

ResultsName = Annotated[str, titled("name of the results")]
AnalysisGroup = Annotated[AnalysisParameters, Folded("as usual", "changed"), folded_title("analysis")]
PacksGroup = Annotated[PackResources, Folded("as usual", "changed"), folded_title("resources")]


def resources(packs: PackResources, settings: ServedSettings) -> Resources:
    """Return what packs take, on the cluster that the server's owner has named."""
    held = packs.model_dump()
    way = None if held["way"] == _FASTEST else held["way"]
    return Resources(**{**held, "way": way, "ray_address": settings.ray_address})


class Submitted(NamedTuple):
    """What a submitted form asks for: the study, where its results go, what packs take."""

    study: StudyParameters
    directory: str
    resources: Resources


def submitted(preset: str, results: str, changes: Changes, details: Details, packs: PackResources) -> Submitted:
    """Translate a form's fields; results without a name get the study's.

    Raises UserError where the preset, its changes, the name and the server's settings do not fit together.
    """
    settings = ServedSettings()
    study = changed_preset(preset, changes, details, settings)
    return as_submitted(study, results, packs, settings)


def as_submitted(study: Study, results: str, packs: PackResources, settings: ServedSettings) -> Submitted:
    """Return what a form asks for, from its study. Raises UserError where the results' name is none."""
    directory = settings.results(results or study.name)
    return Submitted(StudyParameters(**study.to_dict()), directory, resources(packs, settings))
