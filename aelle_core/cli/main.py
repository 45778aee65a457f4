"""The commands that need no orchestration: spectrum, predict, report, paper, presets. Heavy imports wait."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aelle_core.cli.commands import Commands
from aelle_core.cli.options import InitialState, Inputs, Layer, NetworkName, Nonlinearity, Run, Weights
from aelle_core.cli.predict import predict
from aelle_core.cli.screen import screen

if TYPE_CHECKING:
    import torch

app = typer.Typer(
    name="aelle",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    if asked:
        from aelle_core import __version__

        typer.echo(f"aelle {__version__}")
        raise typer.Exit


@app.callback()
def aelle(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Lyapunov spectra of recurrent networks, and what they tell about training before it is paid for."""


@app.command()
def presets() -> None:
    """List the studies that can be run by name.

    Example: `aelle presets`
    """
    from rich.console import Console
    from rich.table import Table

    from aelle_core.study import presets as all_presets

    table = Table("preset", "task", "networks", "cells", "epochs", "what it is for", box=None, pad_edge=False)
    for name, (purpose, study) in all_presets().items():
        row = (name, study.task, study.total_networks, len(study.cells), study.epochs, purpose)
        table.add_row(*map(str, row))
    Console().print(table)


@app.command()
def report(run: Run) -> None:
    """Draw a study's figures and report again from what is stored.

    Example: `aelle report runs/digits`
    """
    from aelle_core.analysis.report import draw_report, report_data
    from aelle_core.study import RunDirectory

    directory = RunDirectory(run)
    typer.echo(draw_report(directory, report_data(directory)))


@app.command()
def paper(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Directories or addresses of finished studies, or names of those that ship with the package, such as "
            "smnist_paper; by default all that ship and all in runs/.",
            show_default=False,
        ),
    ] = None,
    together: Annotated[
        str | None,
        typer.Option(help="Read the runs, which differ in their seeds alone, as one study, joined in this directory."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Directory to write a .md and a .csv file for each run into.")
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(help="Directory to draw the report's figures into, PNG and SVG, in one for each run: minutes."),
    ] = None,
    splits: Annotated[
        int, typer.Option(min=2, max=1000, help="Seeded splits over which the numbers are averaged.")
    ] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Decides the splits and the autoencoder's start.")] = 0,
    regress: Annotated[str, typer.Option(help="What AeLLE's predictor regresses: rank, log or loss.")] = "rank",
    anew: Annotated[
        bool,
        typer.Option("--anew", help="Make the tables that ship with the package again, from its spectra: minutes."),
    ] = False,
    goal: Annotated[
        str | None,
        typer.Option(help="Judge forecasters by another measure of their free runs, such as valid_prediction_time."),
    ] = None,
) -> None:
    """Show the paper's tables beside those of finished studies, and the tables that the paper does not have.

    A run keeps its tables, so that they are made once; those of the studies that ship come with them.

    Examples:

    `aelle paper`

    `aelle paper runs/small-smnist runs/small-target --output docs/results`

    `aelle paper char --figures pictures`

    `aelle paper runs/seed-0 runs/seed-1 runs/seed-2 --together runs/three-seeds`

    `aelle paper lorenz --goal valid_prediction_time`
    """
    from aelle_core.cli.paper import show_paper

    options = {"splits": splits, "seed": seed, "regress": regress}
    show_paper(runs, output, figures=figures, together=together, anew=anew, goal=goal, **options)


@app.command()
def spectrum(
    weights: Weights,
    inputs: Inputs = None,
    network: NetworkName = None,
    layer: Layer = None,
    nonlinearity: Nonlinearity = None,
    initial_state: InitialState = None,
    jacobian: Annotated[
        str, typer.Option(help="full (the whole state) or hidden (d h_t / d h_{t-1} alone, as in the paper).")
    ] = "full",
    k: Annotated[int | None, typer.Option(help="How many of the leading exponents; all by default.")] = None,
    steps: Annotated[
        int | None, typer.Option(help="How many steps to take: all by default; a map without inputs needs it.")
    ] = None,
    warmup: Annotated[int, typer.Option(help="Steps at the start that are not counted.")] = 0,
    precision: Annotated[
        str,
        typer.Option(
            help="exact (float64), fast (float32 tangents, where the network allows it) or extended (again in many "
            "digits where float64 does not resolve)."
        ),
    ] = "exact",
    check: Annotated[
        bool, typer.Option(help="Tell which exponents rounding may have spoilt; up to twice the time with exact.")
    ] = True,
    running: Annotated[
        int | None, typer.Option(help="Show the exponents so far after every so many steps: have they settled?")
    ] = None,
    device: Annotated[str | None, typer.Option(help="Where to compute, such as cpu or cuda.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the spectrum into this picture file.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write index, exponent, stderr, rounding_error, resolved as CSV.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all as JSON; what is not finite is a string: -inf, inf or nan.")
    ] = False,
) -> None:
    """Compute the Lyapunov spectrum of one network, in nats per step, and say what it means.

    WEIGHTS may be a safetensors file (a state_dict that holds a torch RNN, GRU or LSTM; a checkpoint of a study) or a
    program of torch.export that holds one such layer, or whose forward is step(x, state) -> state. Inputs are
    (batch, time, features); for a program that holds a layer, whatever its forward takes. Pickles are never loaded.

    Examples:

    `aelle spectrum lstm.safetensors --inputs sequences.npy --plot spectrum.png`

    `aelle spectrum model.pt2 --inputs sequences.npy --warmup 100 --output spectrum.csv`

    `aelle spectrum step.pt2 --inputs sequences.npy --initial-state states.npy --k 5`

    `aelle spectrum henon.pt2 --initial-state origin.npy --steps 10000 --warmup 100`

    `aelle spectrum runs/digits/checkpoints/gru-32-pack0000.safetensors --network gru-32-00003`
    """
    import time
    import warnings

    from rich.console import Console

    from aelle_core.cli import spectrum_report
    from aelle_core.files.places import place
    from aelle_core.loading.networks import load
    from aelle_core.lyapunov import lyapunov_spectrum

    for path, picture in ((output, False), (plot, True)):
        if path is not None:
            spectrum_report.check_writable(path, picture)
    where = _checked_device(device)
    loaded = load(
        place(weights),
        inputs,
        network=network,
        layer=layer,
        initial_state=initial_state,
        nonlinearity=nonlinearity,
    ).to(where)
    started = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught, _progress(loaded.steps if steps is None else steps) as on_step:
        result = lyapunov_spectrum(
            loaded.system,
            loaded.inputs,
            steps=steps,
            initial_state=loaded.initial_state,
            jacobian=jacobian,  # type: ignore[arg-type]
            k=k,
            warmup=warmup,
            precision=precision,  # type: ignore[arg-type]
            device=where,
            check=check,
            running=running,
            on_step=on_step,
        )
    seconds = time.perf_counter() - started
    for warning in caught:
        typer.echo(f"aelle: warning: {warning.message}", err=True)
    how = spectrum_report.Computation(loaded.title, jacobian, warmup, precision, seconds)
    if as_json:
        typer.echo(spectrum_report.as_json(result, how))
    if result.status != "ok":
        typer.echo(f"status: {result.status}: weights or states are not finite, so there is no spectrum", err=as_json)
        raise typer.Exit(1)
    if not as_json:
        spectrum_report.print_spectrum(result, how, Console())
    if output is not None:
        spectrum_report.write_csv(result, output)
        typer.echo(f"exponents: {output}", err=as_json)
    if plot is not None:
        spectrum_report.draw(result, plot)
        typer.echo(f"picture: {plot}", err=as_json)


app.command()(screen)
app.command()(predict)


def _checked_device(name: str | None) -> "torch.device | None":
    """Return the device of that name. Raises UserError when there is none here."""
    import torch

    from aelle_core.foundation.errors import UserError
    from aelle_core.lyapunov.accepting.checks import checked_device

    try:
        return checked_device(name)
    except UserError as error:
        expected = "cpu or cuda" if torch.cuda.is_available() else "cpu"
        raise UserError(f"--device {name!r} cannot be used here: expected {expected}") from error


@contextmanager
def _progress(steps: int | None) -> Iterator[Callable[[int], object] | None]:
    """Show a bar with the time left on standard error, if that is a terminal; yield what to call with steps taken."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal or steps is None:
        yield None
        return
    columns = (TextColumn("steps"), BarColumn(bar_width=20), MofNCompleteColumn(), TextColumn("left"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        bar = progress.add_task("steps", total=steps)
        yield lambda taken: progress.update(bar, completed=taken)
