"""What `aelle study` and `aelle sweep` both take."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from flows.command.options import (
    Address,
    Cells,
    Cpus,
    Data,
    DryRun,
    Epochs,
    Gpus,
    Networks,
    Output,
    Preset,
    Seed,
    Spectra,
    Task,
    TaskOptions,
    Units,
    WayName,
    asked_resources,
    asked_study,
    checked_output,
)

if TYPE_CHECKING:
    from aelle_core.study import Study
    from flows.parameters import Resources

Own = ParamSpec("Own")


@dataclass(frozen=True)
class StudyRequest:
    """A study, where its results go, and what may be used for it, as somebody typed it."""

    preset: Preset = "digits"
    output: Output = None
    cells: Cells = None
    units: Units = None
    networks: Networks = None
    epochs: Epochs = None
    seed: Seed = None
    task: Task = None
    data: Data = None
    option: TaskOptions = None
    spectra: Spectra = None
    address: Address = None
    cpus: Cpus = 1
    gpus: Gpus = 0
    way: WayName = None
    dry_run: DryRun = False

    @property
    def device(self) -> str:
        """Where packs train: "cuda" or "cpu"."""
        return "cuda" if self.gpus else "cpu"

    def study(self) -> "Study":
        """Return the study that is asked for. Raises UserError on settings that no study can have."""
        return asked_study(
            self.preset,
            self.cells,
            self.units,
            self.networks,
            self.epochs,
            self.seed,
            self.task,
            self.data,
            self.spectra,
            self.option,
        )

    def directory(self, study: "Study") -> str:
        """Return where the results go. Raises UserError where they cannot be written."""
        return checked_output(self.output, study, write=not self.dry_run)

    def resources(self) -> "Resources":
        """Return what each pack may use, and of which cluster."""
        return asked_resources(self.address, self.cpus, self.gpus, self.way)


def taking_a_request(command: Callable[Concatenate[StudyRequest, Own], None]) -> Callable[..., None]:
    """Return the command with the request's fields as its first options, for typer, which reads the signature."""
    shared = {field.name: field for field in fields(StudyRequest)}

    def run(**given: Any) -> None:
        request = StudyRequest(**{name: given.pop(name) for name in shared})
        command(request, **given)  # type: ignore[call-arg]

    keyword = inspect.Parameter.KEYWORD_ONLY
    options = [
        inspect.Parameter(name, keyword, default=field.default, annotation=field.type) for name, field in shared.items()
    ]
    own = [parameter.replace(kind=keyword) for parameter in list(inspect.signature(command).parameters.values())[1:]]
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = inspect.Signature([*options, *own], return_annotation=None)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in (*options, *own)}
    return run
