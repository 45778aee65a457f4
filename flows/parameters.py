"""What the flows take: pydantic models, which become the forms in Prefect's UI."""

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

from aelle_core.cells import cells
from aelle_core.foundation.errors import unknown_name
from aelle_core.study import Study
from aelle_core.tasks import tasks

_IN_FORMS = ConfigDict(extra="forbid", field_title_generator=lambda name, _: name)


class Request(NamedTuple):
    """What one Ray task takes."""

    cpus: float
    gpus: float = 0

    def __str__(self) -> str:
        return f"{self.cpus:g} CPU and {self.gpus:g} GPU"

    @property
    def device(self) -> str:
        """The torch device that a pack with this request is trained on."""
        return "cuda" if self.gpus else "cpu"

    @property
    def threads(self) -> int:
        """Threads that a pack with this request computes on."""
        return max(1, int(self.cpus))


class CohortResources(BaseModel):
    """What each pack of one cohort takes; empty for what all others take."""

    model_config = ConfigDict(extra="forbid")

    cpus_per_pack: float | None = Field(None, gt=0, le=1024, description="CPU cores for each pack")
    gpus_per_pack: float | None = Field(None, ge=0, le=64, description="GPUs for each pack; a fraction shares one")


class Resources(BaseModel):
    """Where packs run, and what each of them takes."""

    model_config = ConfigDict(extra="forbid")

    ray_address: str | None = Field(
        None, description="Address of a Ray cluster ('auto' for one on this machine); empty starts a local one"
    )
    cpus_per_pack: float = Field(1, gt=0, le=1024, description="CPU cores for each pack")
    gpus_per_pack: float = Field(0, ge=0, le=64, description="GPUs for each pack; a fraction shares one")
    cohorts: dict[str, CohortResources] = Field(
        {},
        description="Other resources for some cohorts, by cell ('lstm') or by cell and size ('lstm 512'); "
        "the size's own count before the cell's",
    )
    way: str | None = Field(
        None, description="Way of training packs, such as packed; empty takes the fastest on each machine"
    )
    retries: int = Field(
        3,
        ge=0,
        le=100,
        description="How often a pack that fails is tried again, from its last epoch, before it is "
        "set apart (quarantined); the count starts again for a pack that came further than at its last failure",
    )
    retry_delay: float = Field(
        1, ge=0, le=3600, description="Seconds before a failed pack is tried again; doubled after each further failure"
    )
    patience: float = Field(
        0, ge=0, le=86_400, description="Seconds to wait for workers to join when no node can hold a pack"
    )

    def of_cohort(self, cell: str, units: int) -> Request:
        """Return what each pack of a cohort takes."""
        given = [self.cohorts[key] for key in (f"{cell} {units}", cell) if key in self.cohorts]
        cpus = [resources.cpus_per_pack for resources in given if resources.cpus_per_pack is not None]
        gpus = [resources.gpus_per_pack for resources in given if resources.gpus_per_pack is not None]
        return Request([*cpus, self.cpus_per_pack][0], [*gpus, self.gpus_per_pack][0])

    def check_cohorts(self, study: Study) -> None:
        """Raise UserError where `cohorts` names one that the study does not have."""
        known = set(study.cells) | {f"{cell} {units}" for cell in study.cells for units in study.units}
        for name in self.cohorts:
            if name not in known:
                raise unknown_name("cohort in resources", name, known)


class AnalysisParameters(BaseModel):
    """How spectra are turned into predictions."""

    model_config = _IN_FORMS

    splits: int = Field(10, ge=2, le=1000, description="Seeded splits by network over which metrics are averaged")
    seed: int = Field(0, ge=0, le=2**32 - 1, description="Decides the splits and the autoencoder's start")
    regress: Literal["rank", "log", "loss"] = Field(
        "rank", description="What the autoencoder's predictor regresses: the loss's rank, its logarithm, or the loss"
    )


class ScreeningParameters(BaseModel):
    """How untrained networks are chosen."""

    model_config = _IN_FORMS

    source: str = Field("digits", description="What the predictor learns from: a set that ships, or finished results")
    candidates: int = Field(500, ge=2, le=100_000, description="Untrained networks to draw from the study's ranges")
    keep: int = Field(20, ge=1, le=100_000, description="Networks to keep, the best by their expected loss")
    sequences: int = Field(1, ge=1, le=1000, description="Sequences that a spectrum is averaged over")
    train: bool = Field(True, description="Whether the kept networks are trained, or only ranked")


class _StudyForm(BaseModel):
    model_config = ConfigDict(extra="forbid")

    def to_study(self) -> Study:
        """Return the checked study. Raises UserError where a setting does not fit the others."""
        return Study(**self.model_dump())


_CHOICES: dict[str, Any] = {
    "task": Literal[tuple(tasks)],
    "cells": list[Literal[tuple(cells)]],  # type: ignore[misc]
    "spectra": list[Literal["hidden", "full", "closed_loop"]],
}


def _form_field(field: "dataclasses.Field[Any]", hint: Any) -> tuple[Any, Any]:
    """Return the pydantic field for one field of Study, with its description, bounds and choices."""
    bounds = {"ge": field.metadata["low"], "le": field.metadata["high"]}
    bounds = {name: value for name, value in bounds.items() if value is not None}
    if field.name in _CHOICES:
        annotation = _CHOICES[field.name]
    elif getattr(hint, "__origin__", None) is tuple:
        annotation = list[Annotated[get_args(hint)[0], Field(**bounds)]]  # type: ignore[misc]
        bounds = {}
    else:
        annotation = hint
    default = field.default if field.default is not dataclasses.MISSING else {}
    default = list(default) if isinstance(default, tuple) else default
    return annotation, Field(default, description=field.metadata["description"], **bounds)


if TYPE_CHECKING:
    StudyParameters = _StudyForm
else:
    _HINTS = get_type_hints(Study)
    StudyParameters = create_model(
        "StudyParameters",
        __base__=_StudyForm,
        __doc__="The settings of a study: which networks to train on what.",
        **{field.name: _form_field(field, _HINTS[field.name]) for field in dataclasses.fields(Study)},
    )
