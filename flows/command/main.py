"""The command `aelle`: study, sweep and analyse on Prefect and Ray, with the commands of aelle_core.cli.main."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from aelle_core.cli.main import app
from aelle_core.foundation.extras import require
from flows.command.options import (
    Address,
    Cells,
    Cpus,
    Data,
    Epochs,
    Gpus,
    Networks,
    Preset,
    Regress,
    Runs,
    Splits,
    Task,
    TaskOptions,
    Together,
    Units,
    asked_analysis,
    asked_resources,
    asked_study,
    check_can_be_analysed,
    check_forced_way,
    check_home,
    check_numbers,
    joined,
)
from flows.command.recipes import recipes
from flows.command.request import StudyRequest, taking_a_request
from flows.command.serve import serve

if TYPE_CHECKING:
    from aelle_core.report import ReportData
    from aelle_core.study import Study

app.command()(serve)
app.command()(recipes)


@app.command()
@taking_a_request
def study(request: StudyRequest, splits: Splits = 10, regress: Regress = "rank") -> None:
    """Train every network of a study, analyse their spectra, and write a report: the main job.

    The same command goes on where an interrupted one stopped.

    Examples:

    `aelle study digits`

    `aelle study digits --networks 8 --epochs 3 --output runs/quick`

    `aelle study digits --task smnist --data ~/mnist --output runs/smnist --gpus 1`

    `aelle study arrays --data measurements.csv --option target=price --option window=30`
    """
    plan = request.study()
    directory = request.directory(plan)
    check_numbers(request.cpus, request.gpus, splits, regress)
    check_forced_way(request.way, plan, request.device)
    check_can_be_analysed(plan)
    if request.dry_run:
        _show_plan(plan, directory, request)
        return
    require("studies", "`aelle study`")
    resources = request.resources()
    parameters = asked_analysis(splits, regress)

    def job() -> None:
        from flows.parameters import StudyParameters
        from flows.study import study as flow

        flow(StudyParameters(**plan.to_dict()), directory, parameters, resources)

    _show_results(_run(job, directory), directory)


@app.command()
@taking_a_request
def sweep(request: StudyRequest) -> None:
    """Train every network of a study and store losses and spectra, without analysing them.

    Example: `aelle sweep digits --cells lstm,gru --units 16,32 --output runs/gated`
    """
    plan = request.study()
    directory = request.directory(plan)
    check_numbers(request.cpus, request.gpus)
    check_forced_way(request.way, plan, request.device)
    if request.dry_run:
        _show_plan(plan, directory, request)
        return
    require("studies", "`aelle sweep`")
    resources = request.resources()

    from aelle_core.study import RunDirectory

    def job() -> None:
        from flows.parameters import StudyParameters
        from flows.sweep import sweep as flow

        flow(StudyParameters(**plan.to_dict()), directory, resources)

    _run(job, directory)
    run = RunDirectory(directory)
    if given_up := run.quarantine.packs():
        from aelle_core.study.quarantine import incomplete

        typer.echo(incomplete(given_up, plan.total_networks))
    typer.echo(f"data: {run.path / 'spectra'}")
    typer.echo(f"next: aelle analyse {directory}")


@app.command()
def analyse(
    runs: Runs,
    together: Together = None,
    splits: Splits = 10,
    regress: Regress = "rank",
    address: Address = None,
    cpus: Cpus = 1,
) -> None:
    """Train the autoencoder on a finished study's spectra, score all classifiers, and write the report.

    Several studies that differ in their seeds alone are analysed as one.

    Examples:

    `aelle analyse runs/digits --splits 20`

    `aelle analyse runs/seed-0 runs/seed-1 --together runs/both`
    """
    from aelle_core.study import RunDirectory

    require("studies", "`aelle analyse`")
    run = joined(runs, together)
    RunDirectory(run).read_settings()
    resources, parameters = asked_resources(address, cpus, 0), asked_analysis(splits, regress)

    def job() -> None:
        from flows.analyse import analyse as flow

        flow(run, parameters, resources)

    _show_results(_run(job, run), run)


@app.command()
def plan(
    preset: Preset = "digits",
    cells: Cells = None,
    units: Units = None,
    networks: Networks = None,
    epochs: Epochs = None,
    task: Task = None,
    data: Data = None,
    option: TaskOptions = None,
    cpus: Cpus = 1,
    gpus: Gpus = 0,
    measure: Annotated[bool, typer.Option("--measure", help="Measure again instead of reading the cache.")] = False,
) -> None:
    """How a study would be trained on this machine: the ways with their times, the one chosen, memory, total time.

    Ways that have not been measured here yet are measured now, a second or so for each cell and size.

    Examples:

    `aelle plan digits`

    `aelle plan digits --task smnist --data ~/mnist --measure`
    """
    from flows.command.ways import show_ways

    study = asked_study(preset, cells, units, networks, epochs, None, task, data, None, option)
    check_numbers(cpus, gpus)
    show_ways(study, threads=max(1, int(cpus)), device="cuda" if gpus else "cpu", anew=measure)


def _show_plan(plan: "Study", directory: str, request: StudyRequest) -> None:
    from flows.command.plan import show_plan
    from flows.command.ways import show_ways

    show_plan(plan, directory)
    show_ways(plan, threads=max(1, int(request.cpus)), device=request.device)


def _run(job: Callable[[], None], directory: str) -> "ReportData | None":
    """Run a flow under a progress display. Return the report's contents where it analysed.

    What ends the flow early becomes one sentence and an exit code.
    """
    from rich.console import Console

    from aelle_core.foundation.errors import UserError
    from flows.processes.interruption import exiting_on_signals
    from flows.processes.run_lock import run_lease
    from flows.processes.server import ending_without_server, prefect_server
    from flows.progress.display import terminal_display

    console = Console(stderr=True)
    kept = f"what was finished is kept in {directory}; the same command goes on from there"
    try:
        with exiting_on_signals(kept) as ending, run_lease(directory), ExitStack() as running:
            with console.status("Starting Prefect and Ray"):
                url = running.enter_context(prefect_server(meanwhile=lambda: import_module("flows.study")))
            running.enter_context(ending_without_server(url, ending.begin))
            with terminal_display(console) as display:
                job()
            return display.data
    except UserError:
        raise
    except Exception as error:
        from httpx import HTTPError
        from prefect.exceptions import PrefectException

        if not isinstance(error, OSError | RuntimeError | PrefectException | HTTPError):
            raise
        _stop(f"{error}\n{kept}", 1)
    except BaseException as interrupt:
        _stop(f"{ending.reason}: {kept}", ending.code(interrupt))


def _stop(message: str, code: int) -> NoReturn:
    typer.echo(f"aelle: {message}", err=True)
    raise typer.Exit(code)


def _show_results(data: "ReportData | None", directory: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from aelle_core.study import RunDirectory
    from flows.analyse import metrics_table

    assert data is not None, "the flow ended well without an analysis"
    run = RunDirectory(directory)
    console = Console(markup=False)
    for epoch, moment in ((0, "before any training"), (data.last_epoch, "at the end of training")):
        table = Table("predictor", "what it knows", "F1 (mean and 95 % interval)", title=f"F1 {moment}", box=None)
        for row in metrics_table(data, epoch):
            table.add_row(row["predictor"], row["what it knows"], row["F1"])
        console.print(table)
    for sentence in data.verdicts:
        console.print(f"- {sentence}", highlight=False)
    typer.echo(f"data: {data.data_location}")
    typer.echo(f"report: {run.report}")


def main() -> None:
    """Run the command `aelle`. A mistake of the user is one sentence on standard error and exit code 2."""
    from aelle_core.foundation.errors import UserError
    from aelle_core.foundation.module_path import keep_current_folder_off_paths

    keep_current_folder_off_paths()
    try:
        check_home(sys.argv[1:])
        app()
    except UserError as error:
        typer.echo(f"aelle: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
