"""What the command line takes, and what it asks for: a study, resources, an analysis."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from aelle_core.study import Study
    from flows.parameters import AnalysisParameters, Resources

Preset = Annotated[str, typer.Argument(help="A preset; `aelle presets` lists them.")]
Output = Annotated[
    str | None,
    typer.Option("--output", "-o", help="Directory or address (s3://, gs://) for the results; runs/NAME by default."),
]
Cells = Annotated[str | None, typer.Option(help="Cells instead of the preset's, separated by commas.")]
Units = Annotated[str | None, typer.Option(help="Hidden units instead of the preset's, separated by commas.")]
Networks = Annotated[int | None, typer.Option(help="Networks per cell and size instead of the preset's.")]
Epochs = Annotated[int | None, typer.Option(help="Epochs instead of the preset's.")]
Seed = Annotated[int | None, typer.Option(help="Seed of everything that is drawn, instead of the preset's.")]
Task = Annotated[str | None, typer.Option(help="Task instead of the preset's.")]
Data = Annotated[
    str | None,
    typer.Option(help="The task's data: a directory, a file of text, or a text's address with its hash, #sha256=..."),
]
TaskOptions = Annotated[
    list[str] | None,
    typer.Option("--option", help="An option of the task, NAME=VALUE, such as target=price; may be given again."),
]
Spectra = Annotated[str | None, typer.Option(help="hidden, full, or hidden,full instead of the preset's.")]
Address = Annotated[str | None, typer.Option(help="Address of a Ray cluster; without it a local one is started.")]
Cpus = Annotated[float, typer.Option(help="CPU cores for each pack.")]
Gpus = Annotated[float, typer.Option(help="GPUs for each pack.")]
WayName = Annotated[
    str | None, typer.Option("--way", help="Way of training packs, such as packed; the fastest here by default.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan with its time and memory, train nothing.")]
Runs = Annotated[
    list[str],
    typer.Argument(help="A study's results, or several: directories, or addresses (s3://, gs://).", show_default=False),
]
Together = Annotated[
    str | None, typer.Option(help="Directory or address for the joint analysis of several studies of one shape.")
]
Splits = Annotated[int, typer.Option(help="Seeded splits over which the metrics are averaged.")]
Regress = Annotated[str, typer.Option(help="What the autoencoder's predictor regresses: rank, log or loss.")]


Made = TypeVar("Made")


def asked_study(
    preset: str,
    cells: str | None,
    units: str | None,
    networks: int | None,
    epochs: int | None,
    seed: int | None,
    task: str | None,
    data: str | None,
    spectra: str | None,
    options: Sequence[str] | None = None,
) -> "Study":
    """Return the preset with the changes that were given (None: as in the preset).

    Raises UserError, naming what was given, where that is no study.
    """
    from aelle_core.files.places import resolved
    from aelle_core.foundation.errors import UserError
    from aelle_core.study import changed_study, get_preset, read_options

    base = get_preset(preset)
    changes: dict[str, Any] = {"networks": networks, "epochs": epochs, "seed": seed, "task": task}
    changes["cells"] = cells.split(",") if cells is not None else None
    changes["spectra"] = spectra.split(",") if spectra is not None else None
    if units is not None:
        try:
            changes["units"] = [int(part) for part in units.split(",")]
        except ValueError as error:
            raise UserError(f"--units {units!r}: expected whole numbers separated by commas") from error
    if data is not None and "://" not in data:
        data = resolved(data)
    return changed_study(base, data, read_options(options or ()), **changes)


def checked_output(output: str | None, plan: "Study", *, write: bool = True) -> str:
    """Return the directory or address for the results, after everything that can be known to fail has been refused;
    without `write`, by looking alone."""
    from aelle_core.files.places import resolved
    from aelle_core.study import RunDirectory
    from aelle_core.tasks import get_task

    directory = resolved(output or f"runs/{plan.name}")
    RunDirectory(directory).check(plan, write=write)
    get_task(plan.task, seed=plan.seed, options=plan.task_options).check(plan.batch_size, plan.warmup)
    return directory


def joined(runs: list[str], together: str | None) -> str:
    """Return the run to analyse: the one that was named, or the directory that several were joined in.

    Raises UserError where several come without --together, or one with it, and where they cannot be joined.
    """
    from aelle_core.files.places import resolved
    from aelle_core.foundation.errors import UserError
    from aelle_core.study import RunDirectory, join

    if (together is None) != (len(runs) == 1):
        given = f"{len(runs)} run{'s' * (len(runs) > 1)} {'without' if together is None else 'with'} --together"
        raise UserError(f"{given}: expected one run, or several and a directory for their joint analysis")
    if together is None:
        return runs[0]
    directory = resolved(together)
    join([RunDirectory(run) for run in runs], RunDirectory(directory))
    return directory


def asked_resources(address: str | None, cpus: float, gpus: float, way: str | None = None) -> "Resources":
    """Where packs run, and what each takes: `cpus` cores and `gpus` GPUs. Raises UserError on what cannot be."""
    from flows.parameters import Resources

    return _validated(Resources, ray_address=address, cpus_per_pack=cpus, gpus_per_pack=gpus, way=way)


def check_numbers(cpus: float, gpus: float, splits: int = 2, regress: str = "rank") -> None:
    """Raise UserError where `asked_resources` and `asked_analysis` would, without what they need to be installed."""
    from aelle_core.foundation.errors import UserError

    if not 0 < cpus <= 1024:
        raise UserError(f"--cpus {cpus:g}: expected a number above 0, up to 1024")
    if not 0 <= gpus <= 64:
        raise UserError(f"--gpus {gpus:g}: expected a number from 0 to 64")
    if not 2 <= splits <= 1000:
        raise UserError(f"--splits {splits}: expected a whole number from 2 to 1000")
    if regress not in ("rank", "log", "loss"):
        raise UserError(f"--regress {regress!r}: expected rank, log or loss")


def check_can_be_analysed(plan: "Study") -> None:
    """Refuse a study whose networks are too few for its analysis, before they are trained."""
    from aelle_core.analysis.prepare import check_enough_networks

    check_enough_networks(plan)


def check_forced_way(way: str | None, plan: "Study", device: str) -> None:
    """Raise UserError where a forced way cannot train one of the study's cells."""
    if way is None:
        return
    import torch

    from aelle_core.cells import get_cell
    from aelle_core.tasks import get_task
    from aelle_core.training import trainers

    task = get_task(plan.task, seed=plan.seed, options=plan.task_options)
    for name in plan.cells:
        for units in plan.units:
            trainers[task.trainer].check_way(way, get_cell(name, task.input_size, units), task, torch.device(device))


def asked_analysis(splits: int, regress: str) -> "AnalysisParameters":
    """How spectra are turned into predictions. Raises UserError on what cannot be."""
    from flows.parameters import AnalysisParameters

    return _validated(AnalysisParameters, splits=splits, regress=regress)


def _validated(model: Callable[..., Made], **values: Any) -> Made:
    """Return a pydantic model, with its complaints as one sentence."""
    from pydantic import ValidationError

    from aelle_core.foundation.errors import UserError

    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{first['loc'][0]}={first['input']!r}: {first['msg'].lower()}") from error


def check_home(arguments: list[str]) -> None:
    """Raise UserError where a command is asked for and this user has no home: Prefect, Ray and caches need one."""
    from aelle_core.foundation.errors import UserError

    if not arguments or not {"--help", "--version"}.isdisjoint(arguments):
        return
    try:
        Path.home()
    except RuntimeError as error:
        raise UserError(
            f"user {os.geteuid()} has no home directory: expected HOME to name a directory that can be written"
        ) from error
