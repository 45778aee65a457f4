"""Arguments and options that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

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
