"""Where the numbers of a spectrum go during training: one argument chooses among lists, files and trackers."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aelle_core.files.atomic import write_atomically
from aelle_core.foundation.errors import UserError
from aelle_core.lyapunov import LyapunovSpectrum

Log = Callable[[int, LyapunovSpectrum], object]
"""Takes the number of the training step and the spectrum."""


def scalars(spectrum: LyapunovSpectrum) -> dict[str, float]:
    """Return the numbers that trackers draw, by name; what is not finite is left out."""
    exponents = spectrum.exponents
    alive = exponents[np.isfinite(exponents)]
    numbers = {
        "lyapunov/largest": spectrum.maximum,
        "lyapunov/mean_of_living": float(alive.mean()) if len(alive) else float("nan"),
        "lyapunov/positive": float((exponents > 0).sum()),
        "lyapunov/dead_directions": float(spectrum.dead_directions),
        "lyapunov/horizon": spectrum.horizon(),
        "lyapunov/kaplan_yorke_dimension": spectrum.kaplan_yorke_dimension,
    }
    return {name: value for name, value in numbers.items() if np.isfinite(value)}


def log_to(destination: Any) -> Log:
    """Return the log for what a person names as the destination:

    a list                             gets (step, spectrum)
    a function                         is called with (step, spectrum)
    a path that ends in .jsonl         gets a line of JSON for each spectrum, all exponents included
    "mlflow"                           logs to the active MLflow run
    "wandb", or a run of wandb.init    logs to that Weights & Biases run
    a torch SummaryWriter              gets scalars (TensorBoard); so does anything with add_scalar

    Raises UserError for anything else, and where the library is not installed.
    """
    match destination:
        case list():
            return lambda step, spectrum: destination.append((step, spectrum))
        case "mlflow":
            return _mlflow()
        case "wandb":
            return _wandb(None)
        case str() | Path() if str(destination).endswith(".jsonl"):
            return _lines(Path(destination))
    if hasattr(destination, "add_scalar"):
        return _tensorboard(destination)
    if hasattr(destination, "log") and hasattr(destination, "finish"):
        return _wandb(destination)
    if callable(destination):
        return destination
    raise UserError(
        f"log={destination!r}: expected a list, a function (step, spectrum), a path that ends in .jsonl, 'mlflow', "
        "'wandb', a run of wandb or a SummaryWriter"
    )


def _lines(path: Path) -> Log:
    def write(step: int, spectrum: LyapunovSpectrum) -> None:
        line = json.dumps({"step": step, **scalars(spectrum), "exponents": spectrum.exponents.tolist()})
        before = path.read_text() if path.exists() else ""
        write_atomically(path, lambda temporary: temporary.write_text(f"{before}{line}\n"))

    return write


def _tensorboard(writer: Any) -> Log:
    def write(step: int, spectrum: LyapunovSpectrum) -> None:
        for name, value in scalars(spectrum).items():
            writer.add_scalar(name, value, step)
        alive = spectrum.exponents[np.isfinite(spectrum.exponents)]
        if len(alive):
            writer.add_histogram("lyapunov/exponents", alive, step)

    return write


def _mlflow() -> Log:
    mlflow = _imported("mlflow", "mlflow-skinny")

    def write(step: int, spectrum: LyapunovSpectrum) -> None:
        mlflow.log_metrics(scalars(spectrum), step=step)

    return write


def _wandb(run: Any) -> Log:
    if run is None:
        run = _imported("wandb", "wandb").run
        if run is None:
            raise UserError("log='wandb' without an active run: expected wandb.init() before")

    def write(step: int, spectrum: LyapunovSpectrum) -> None:
        numbers: Mapping[str, float] = scalars(spectrum)
        run.log({**numbers, "lyapunov/step": step})

    return write


def _imported(module: str, package: str) -> Any:
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError as error:
        raise UserError(f"log={module!r} needs {package}, which is not installed: pip install {package}") from error
