"""The command `aelle screen`."""

from pathlib import Path
from typing import Annotated

import typer


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
    from aelle_core.cli.screening import run_screening

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
