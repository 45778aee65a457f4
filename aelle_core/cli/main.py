"""The commands that need no orchestration: spectrum, predict, report, paper, presets. Heavy imports wait."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aelle_core.cli.commands import Commands

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


Run = Annotated[
    str, typer.Argument(help="A study's results: a directory, or an address (s3://, gs://).", show_default=False)
]
Weights = Annotated[
    str,
    typer.Argument(
        help="A .safetensors file (a state_dict with a torch RNN, GRU or LSTM, or a checkpoint of this project) or a "
        ".pt2 program of torch.export.",
        show_default=False,
    ),
]
Inputs = Annotated[
    Path | None,
    typer.Option(
        help="An .npy file (batch, time, features), or what a program's forward takes. A network of a run defaults to "
        "the run's own."
    ),
]
InitialState = Annotated[Path | None, typer.Option(help="An .npy file (batch, state_size); zeros by default.")]
Nonlinearity = Annotated[
    str | None, typer.Option(help="tanh or relu: of an RNN in a safetensors file, which does not say it itself.")
]
Layer = Annotated[str | None, typer.Option(help="Which recurrent layer of several, such as encoder.lstm.")]
NetworkName = Annotated[str | None, typer.Option(help="Which network of a checkpoint, such as gru-32-00003.")]


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
) -> None:
    """Show the paper's tables beside those of finished studies, and the tables that the paper does not have.

    A run keeps its tables, so that they are made once; those of the studies that ship come with them.

    Examples:

    `aelle paper`

    `aelle paper runs/small-smnist runs/small-target --output docs/results`

    `aelle paper char --figures pictures`

    `aelle paper runs/seed-0 runs/seed-1 runs/seed-2 --together runs/three-seeds`
    """
    from aelle_core.cli.paper import show_paper

    show_paper(runs, output, figures=figures, together=together, anew=anew, splits=splits, seed=seed, regress=regress)


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
        bool, typer.Option(help="Tell which exponents rounding may have spoilt; doubles the time with exact.")
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


@app.command()
def screen(
    space: Annotated[str, typer.Argument(help="A preset, whose ranges candidates are drawn from.")] = "digits",
    source: Annotated[
        str,
        typer.Option(
            "--from", help="What the predictor learns from: a name that ships, such as digits, or a finished run."
        ),
    ] = "digits",
    candidates: Annotated[int, typer.Option(min=1, max=100_000, help="How many untrained networks to draw.")] = 500,
    keep: Annotated[int, typer.Option(min=1, help="How many to keep.")] = 20,
    sequences: Annotated[int, typer.Option(min=1, max=1000, help="Sequences that a spectrum is averaged over.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Decides what is drawn.")] = 0,
    cells: Annotated[str | None, typer.Option(help="Cells, comma-separated; by default the preset's.")] = None,
    data: Annotated[str | None, typer.Option(help="Directory of the task's data, where it needs one.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A .json file for the kept networks and their study.")
    ] = None,
    replay: Annotated[
        bool, typer.Option(help="Show what screening, ASHA and others would have found on the finished sweep.")
    ] = True,
) -> None:
    """Rank untrained networks by the loss to expect from their spectra, and keep the best: seconds, not hours.

    Examples:

    `aelle screen digits --candidates 200 --keep 10`

    `aelle screen digits --from runs/digits --cells gru --output kept.json`
    """
    from aelle_core.cli.screen import run_screening

    run_screening(
        space,
        source,
        candidates=candidates,
        keep=keep,
        sequences=sequences,
        seed=seed,
        cells=None if cells is None else cells.split(","),
        data=data,
        output=output,
        with_replay=replay,
    )


@app.command()
def predict(
    run: Run,
    weights: Weights,
    inputs: Inputs = None,
    network: NetworkName = None,
    nonlinearity: Nonlinearity = None,
) -> None:
    """Predict the final loss of a network from its spectrum, by the AeLLE of an analysed study.

    The network should have been trained on the study's task; one of another cell, with other inputs or for another
    number of steps than the study's is refused. The spectrum is of the kind the study used.

    Example: `aelle predict runs/digits lstm.safetensors --inputs sequences.npy`
    """
    from aelle_core.aelle.estimator import AeLLE
    from aelle_core.cli.predicted import check_like_the_study
    from aelle_core.files.places import place
    from aelle_core.foundation.errors import UserError
    from aelle_core.loading.networks import load
    from aelle_core.lyapunov import lyapunov_spectrum
    from aelle_core.study import RunDirectory

    directory = RunDirectory(run)
    study = directory.study()
    model = directory.analysis / "aelle.safetensors"
    if not model.exists():
        raise UserError(f"no AeLLE in {run!r}: expected one made by `aelle analyse {run}`")
    aelle = AeLLE.load(model)
    kind: Any = study.spectra[0]
    loaded = load(place(weights), inputs, network=network, nonlinearity=nonlinearity)
    result = lyapunov_spectrum(
        loaded.system,
        loaded.inputs,
        initial_state=loaded.initial_state,
        jacobian=kind,
        k=study.exponents or None,
        warmup=study.warmup,
        check=False,
    )
    if result.status != "ok":
        raise UserError(f"{weights!r}: the network's weights or states are not finite; expected finite numbers")
    check_like_the_study(aelle, study, loaded, result.steps, kind)
    features = result.interpolate(aelle.n_features_in_)[None]
    side = "better" if aelle.predict_high_accuracy(features)[0] else "worse"
    interval = ""
    if len(aelle.errors_):
        _, (low,), (high,) = aelle.predict(features, return_interval=True)
        interval = f" (90 %: {low:.3f} to {high:.3f})"
    typer.echo(f"expected final {directory.loss_name()}: {aelle.predict(features)[0]:.3f}{interval}")
    if (distance := float(aelle.distance(features)[0])) > 1:
        typer.echo(f"its spectrum is unlike all that the AeLLE has seen (distance {distance:.1f}): this means little")
    typer.echo(f"AeLLE first component: {aelle.transform(features)[0, 0]:.3f}, on the {side} half of {study.name}")


def _checked_device(name: str | None) -> "torch.device | None":
    """Return the device of that name. Raises UserError when there is none here."""
    import torch

    from aelle_core.foundation.errors import UserError
    from aelle_core.lyapunov.accepting.checks import checked_device

    try:
        return checked_device(name)
    except UserError as error:
        there = "cpu or cuda" if torch.cuda.is_available() else "cpu"
        raise UserError(f"--device {name!r} cannot be used here: expected {there}") from error


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
