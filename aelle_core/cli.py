"""The commands that need no orchestration: spectrum, predict, report, presets. Heavy imports wait for their use."""

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    name="aelle",
    help="Lyapunov spectra of recurrent networks, and what they tell about training before it is paid for.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Run = Annotated[Path, typer.Argument(help="Directory of a study's results.", show_default=False)]
Weights = Annotated[
    Path,
    typer.Argument(
        help="A safetensors file of a torch RNN, GRU or LSTM's state_dict, or a checkpoint of this project.",
        show_default=False,
    ),
]
Inputs = Annotated[
    Path | None,
    typer.Option(help="An .npy file (batch, time, features). A network of a run defaults to the run's own."),
]
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
    from aelle_core.analysis import draw_report
    from aelle_core.study import RunDirectory

    typer.echo(draw_report(RunDirectory(run)))


@app.command()
def spectrum(
    weights: Weights,
    inputs: Inputs = None,
    network: NetworkName = None,
    jacobian: Annotated[
        str, typer.Option(help="full (the whole state) or hidden (d h_t / d h_{t-1} alone, as in the paper).")
    ] = "full",
    k: Annotated[int | None, typer.Option(help="How many of the leading exponents; all by default.")] = None,
    warmup: Annotated[int, typer.Option(help="Steps at the start that are not counted.")] = 0,
    plot: Annotated[Path | None, typer.Option(help="Draw the spectrum into this picture file.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write index, exponent, stderr, resolved as CSV.")] = None,
) -> None:
    """The Lyapunov spectrum of one network, in nats per step.

    Examples:

    `aelle spectrum lstm.safetensors --inputs sequences.npy --plot spectrum.png`

    `aelle spectrum runs/digits/checkpoints/gru-32-pack0000.safetensors --network gru-32-00003`
    """
    from aelle_core.lyapunov import lyapunov_spectrum
    from aelle_core.weights import load_network, load_sequences

    loaded = load_network(weights, network)
    result = lyapunov_spectrum(
        loaded,
        load_sequences(inputs, weights),
        jacobian=jacobian,  # type: ignore[arg-type]
        k=k,
        warmup=warmup,
    )
    _print_spectrum(result)
    if output is not None:
        _write_spectrum(result, output)
        typer.echo(f"exponents: {output}")
    if plot is not None:
        axes = result.plot()
        axes.figure.savefig(plot, dpi=150)
        typer.echo(f"picture: {plot}")


@app.command()
def predict(run: Run, weights: Weights, inputs: Inputs = None, network: NetworkName = None) -> None:
    """The final loss to expect of a network from its spectrum, by the AeLLE of an analysed study.

    The network should have been trained on the study's task; the spectrum is of the kind the study used.

    Example: `aelle predict runs/digits lstm.safetensors --inputs sequences.npy`
    """
    from aelle_core.aelle import AeLLE
    from aelle_core.errors import UserError
    from aelle_core.lyapunov import lyapunov_spectrum
    from aelle_core.study import RunDirectory
    from aelle_core.weights import load_network, load_sequences

    directory = RunDirectory(run)
    study = directory.study()
    model = directory.analysis / "aelle.safetensors"
    if not model.exists():
        raise UserError(f"no AeLLE in {str(run)!r}: expected one made by `aelle analyse {run}`")
    aelle = AeLLE.load(model)
    kind: Any = study.spectra[0]
    found = lyapunov_spectrum(
        load_network(weights, network), load_sequences(inputs, weights), jacobian=kind, warmup=study.warmup, check=False
    )
    if found.status != "ok":
        raise UserError(f"{str(weights)!r}: the network's weights or states are not finite; expected finite numbers")
    features = found.interpolate(aelle.n_features_in_)[None]
    side = "better" if aelle.predict_high_accuracy(features)[0] else "worse"
    typer.echo(f"expected final loss: {aelle.predict(features)[0]:.3f} nats")
    typer.echo(f"AeLLE first component: {aelle.transform(features)[0, 0]:.3f}, on the {side} half of {study.name}")


def _print_spectrum(result: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if result.status != "ok":
        console.print(f"status: {result.status}: weights or states are not finite, so there is no spectrum")
        return
    table = Table("index", "exponent (nats/step)", "standard error", "resolved", box=None, pad_edge=False)
    rows = list(zip(result.exponents, result.stderr, result.resolved, strict=True))
    shown = range(len(rows)) if len(rows) <= 16 else [*range(8), *range(len(rows) - 4, len(rows))]
    for index in shown:
        exponent, stderr, resolved = rows[index]
        table.add_row(str(index + 1), f"{exponent:.6f}", f"{stderr:.2g}", "yes" if resolved else "no")
        if index == 7 and len(rows) > 16:
            table.add_row("...", "", "", "")
    console.print(table)
    facts = {
        "largest exponent": f"{result.maximum:.6f} nats/step",
        "mean exponent": f"{result.mean:.6f} nats/step",
        "Kaplan-Yorke dimension": f"{result.kaplan_yorke_dimension:.3f} of {result.size}",
        "entropy rate (upper bound)": f"{result.entropy_rate:.6f} nats/step",
        "sum rule residual": f"{result.sum_rule_residual:.1e}",
        "dead directions": str(result.dead_directions),
        "sequences x steps": f"{len(result.per_sequence)} x {result.steps}",
    }
    for name, value in facts.items():
        console.print(f"{name:>26}: {value}", highlight=False)


def _write_spectrum(result: Any, path: Path) -> None:
    import csv

    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "exponent", "stderr", "resolved"])
        for index, row in enumerate(zip(result.exponents, result.stderr, result.resolved, strict=True), start=1):
            writer.writerow([index, *row])
