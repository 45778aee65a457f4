"""The command `aelle`: study, sweep and analyse on Prefect and Ray, with the commands of aelle_core.cli."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aelle_core.cli import Run, app

if TYPE_CHECKING:
    from aelle_core.study import Study
    from flows.parameters import Resources

Preset = Annotated[str, typer.Argument(help="A preset; `aelle presets` lists them.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Directory for the results; runs/NAME by default.")]
Cells = Annotated[str | None, typer.Option(help="Cells instead of the preset's, separated by commas.")]
Units = Annotated[str | None, typer.Option(help="Hidden units instead of the preset's, separated by commas.")]
Networks = Annotated[int | None, typer.Option(help="Networks per cell and size instead of the preset's.")]
Epochs = Annotated[int | None, typer.Option(help="Epochs instead of the preset's.")]
Seed = Annotated[int | None, typer.Option(help="Seed of everything that is drawn, instead of the preset's.")]
Task = Annotated[str | None, typer.Option(help="Task instead of the preset's.")]
Data = Annotated[Path | None, typer.Option(help="The task's data: a directory, or a file of text.")]
Spectra = Annotated[str | None, typer.Option(help="hidden, full, or hidden,full instead of the preset's.")]
Address = Annotated[str | None, typer.Option(help="Address of a Ray cluster; without it a local one is started.")]
Cpus = Annotated[float, typer.Option(help="CPU cores for each pack.")]
Gpus = Annotated[float, typer.Option(help="GPUs for each pack.")]
WayName = Annotated[
    str | None, typer.Option("--way", help="Way of training packs, such as packed; the fastest here by default.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan with its time and memory, train nothing.")]
Splits = Annotated[int, typer.Option(help="Seeded splits over which the metrics are averaged.")]
Regress = Annotated[str, typer.Option(help="What the autoencoder's predictor regresses: log or loss.")]


@app.command()
def study(
    preset: Preset = "digits",
    output: Output = None,
    cells: Cells = None,
    units: Units = None,
    networks: Networks = None,
    epochs: Epochs = None,
    seed: Seed = None,
    task: Task = None,
    data: Data = None,
    spectra: Spectra = None,
    splits: Splits = 10,
    regress: Regress = "log",
    address: Address = None,
    cpus: Cpus = 1,
    gpus: Gpus = 0,
    way: WayName = None,
    dry_run: DryRun = False,
) -> None:
    """Train every network of a study, analyse their spectra, and write a report: the main job.

    The same command goes on where an interrupted one stopped.

    Examples:

    `aelle study digits`

    `aelle study digits --networks 8 --epochs 3 --output runs/quick`

    `aelle study digits --task smnist --data ~/mnist --output runs/smnist --gpus 1`
    """
    plan = _plan(preset, cells, units, networks, epochs, seed, task, data, spectra)
    directory = _checked_output(output, plan)
    if dry_run:
        _show_plan(plan, directory, cpus, gpus)
        return
    resources = _resources(address, cpus, gpus, way)
    _check_way(way, plan, "cuda" if gpus else "cpu")
    parameters = _analysis(splits, regress)

    def job() -> None:
        from flows.parameters import StudyParameters
        from flows.study import study as flow

        flow(StudyParameters(**plan.to_dict()), str(directory), parameters, resources)

    _run(job, directory)
    _show_results(directory)


@app.command()
def sweep(
    preset: Preset = "digits",
    output: Output = None,
    cells: Cells = None,
    units: Units = None,
    networks: Networks = None,
    epochs: Epochs = None,
    seed: Seed = None,
    task: Task = None,
    data: Data = None,
    spectra: Spectra = None,
    address: Address = None,
    cpus: Cpus = 1,
    gpus: Gpus = 0,
    way: WayName = None,
    dry_run: DryRun = False,
) -> None:
    """Train every network of a study and store losses and spectra, without analysing them.

    Example: `aelle sweep digits --cells lstm,gru --units 16,32 --output runs/gated`
    """
    plan = _plan(preset, cells, units, networks, epochs, seed, task, data, spectra)
    directory = _checked_output(output, plan)
    if dry_run:
        _show_plan(plan, directory, cpus, gpus)
        return
    resources = _resources(address, cpus, gpus, way)
    _check_way(way, plan, "cuda" if gpus else "cpu")

    def job() -> None:
        from flows.parameters import StudyParameters
        from flows.sweep import sweep as flow

        flow(StudyParameters(**plan.to_dict()), str(directory), resources)

    _run(job, directory)
    typer.echo(f"data: {directory / 'spectra'}")
    typer.echo(f"next: aelle analyse {directory}")


@app.command()
def analyse(
    run: Run,
    splits: Splits = 10,
    regress: Regress = "log",
    address: Address = None,
    cpus: Cpus = 1,
) -> None:
    """Train the autoencoder on a finished study's spectra, score all classifiers, and write the report.

    Example: `aelle analyse runs/digits --splits 20`
    """
    from aelle_core.study import RunDirectory

    RunDirectory(run).read_settings()
    resources, parameters = _resources(address, cpus, 0), _analysis(splits, regress)

    def job() -> None:
        from flows.analyse import analyse as flow

        flow(str(run), parameters, resources)

    _run(job, run)
    _show_results(run)


@app.command()
def plan(
    preset: Preset = "digits",
    cells: Cells = None,
    units: Units = None,
    networks: Networks = None,
    epochs: Epochs = None,
    task: Task = None,
    data: Data = None,
    cpus: Cpus = 1,
    gpus: Gpus = 0,
    measure: Annotated[bool, typer.Option("--measure", help="Measure anew, not from the cache.")] = False,
) -> None:
    """How a study would be trained on this machine: the ways with their times, the one chosen, memory, total time.

    Ways that have not been measured here yet are measured now, a second or so for each cell and size.

    Examples:

    `aelle plan digits`

    `aelle plan digits --task smnist --data ~/mnist --measure`
    """
    from flows.ways import show_ways

    study = _plan(preset, cells, units, networks, epochs, None, task, data, None)
    show_ways(study, threads=max(1, int(cpus)), device="cuda" if gpus else "cpu", anew=measure)


def _plan(
    preset: str,
    cells: str | None,
    units: str | None,
    networks: int | None,
    epochs: int | None,
    seed: int | None,
    task: str | None,
    data: Path | None,
    spectra: str | None,
) -> "Study":
    """The preset with what was asked to be different."""
    from aelle_core.errors import UserError
    from aelle_core.study import get_preset

    base = get_preset(preset)
    changes: dict[str, Any] = {"networks": networks, "epochs": epochs, "seed": seed, "task": task}
    changes["cells"] = cells.split(",") if cells is not None else None
    changes["spectra"] = spectra.split(",") if spectra is not None else None
    if units is not None:
        try:
            changes["units"] = [int(part) for part in units.split(",")]
        except ValueError as error:
            raise UserError(f"--units {units!r}: expected whole numbers separated by commas") from error
    options = {} if task not in (None, base.task) else dict(base.task_options)
    if data is not None:
        from aelle_core.tasks import tasks

        options[tasks[task or base.task].data_option] = str(data.expanduser().resolve())
    changes["task_options"] = options
    return base.replace(**{name: value for name, value in changes.items() if value is not None})


def _checked_output(output: Path | None, plan: "Study") -> Path:
    """The directory for the results, after everything that can be known to fail has been refused."""
    from aelle_core.study import RunDirectory
    from aelle_core.tasks import get_task

    directory = (output or Path("runs") / plan.name).expanduser().resolve()
    RunDirectory(directory).check(plan)
    get_task(plan.task, seed=plan.seed, options=plan.task_options).check(plan.batch_size)
    return directory


def _show_plan(plan: "Study", directory: Path, cpus: float, gpus: float) -> None:
    from flows.plan import show_plan
    from flows.ways import show_ways

    show_plan(plan, directory)
    show_ways(plan, threads=max(1, int(cpus)), device="cuda" if gpus else "cpu")


def _resources(address: str | None, cpus: float, gpus: float, way: str | None = None) -> "Resources":
    from flows.parameters import Resources

    return _validated(Resources, ray_address=address, cpus_per_pack=cpus, gpus_per_pack=gpus, way=way)


def _check_way(way: str | None, plan: "Study", device: str) -> None:
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
            trainers[task.trainer].check_way(way, get_cell(name, task.input_size, units), torch.device(device))


def _analysis(splits: int, regress: str) -> Any:
    from flows.parameters import AnalysisParameters

    return _validated(AnalysisParameters, splits=splits, regress=regress)


def _validated(model: Callable[..., Any], **values: Any) -> Any:
    """A pydantic model, with its complaints as one sentence."""
    from pydantic import ValidationError

    from aelle_core.errors import UserError

    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{first['loc'][0]}={first['input']!r}: {first['msg'].lower()}") from error


def _run(job: Callable[[], None], directory: Path) -> None:
    """Run a flow under a progress display; what ends it early becomes one sentence and an exit code."""
    from rich.console import Console

    from aelle_core.errors import UserError
    from flows.environment import prepare_prefect

    prepare_prefect()
    from flows.progress import terminal_display

    console = Console(stderr=True)
    try:
        with console.status("Starting Prefect and Ray"):
            from prefect.exceptions import PrefectException
        with terminal_display(console):
            job()
    except UserError:
        raise
    except (KeyboardInterrupt, SystemExit):
        _stop(f"interrupted: what was finished is kept in {directory}; the same command goes on from there", 130)
    except (OSError, RuntimeError, PrefectException) as error:
        _stop(f"{error}\nwhat was finished is kept in {directory}; the same command goes on from there", 1)


def _stop(message: str, code: int) -> None:
    typer.echo(f"aelle: {message}", err=True)
    raise typer.Exit(code)


def _show_results(directory: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from aelle_core.analysis import report_data
    from aelle_core.study import RunDirectory
    from flows.analyse import metrics_table

    run = RunDirectory(directory)
    data = report_data(run)
    console = Console()
    for epoch, moment in ((0, "before any training"), (data.last_epoch, "at the end of training")):
        table = Table("classifier", "kind", "F1 (mean and 95 % interval)", title=f"F1 {moment}", box=None)
        for row in metrics_table(data, epoch):
            table.add_row(row["classifier"], row["kind"], row["f1"])
        console.print(table)
    for sentence in data.verdicts:
        console.print(f"- {sentence}", highlight=False)
    typer.echo(f"data: {run.path / 'spectra'}")
    typer.echo(f"report: {run.report}")


def main() -> None:
    """The command `aelle`. A mistake of the user is one sentence on standard error and exit code 2."""
    from aelle_core.errors import UserError

    try:
        app()
    except UserError as error:
        typer.echo(f"aelle: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
