"""A spectrum for people (a table, then facts in words), for spreadsheets (CSV) and for programs (JSON)."""

import csv
import json
import math
import os
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aelle_core.files.atomic import kind_of, write_atomically
from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError
from aelle_core.lyapunov import LyapunovSpectrum

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN = 16  # rows of a table; of longer ones the first and last are shown


@dataclass(frozen=True)
class Computation:
    """How a spectrum came about: the network in a few words, what was asked for, and the seconds it took."""

    title: str
    jacobian: str
    warmup: int
    precision: str
    seconds: float


def print_spectrum(result: LyapunovSpectrum, how: Computation, console: "Console") -> None:
    """Print the exponents as a table, the finite-time exponents where they were recorded, and the facts."""
    from rich.table import Table

    console.print(how.title, highlight=False)
    headings = ("index", "exponent (nats/step)", "standard error", "rounding error", "resolved")
    table = Table(*headings, box=None, pad_edge=False)
    for index in _elided(len(result.exponents)):
        table.add_row(*(["..."] if index is None else _row(result, index)))
    console.print(table)
    if result.running is not None and result.running_steps is not None:
        table = Table("after steps", "exponents so far, the largest three", box=None, pad_edge=False)
        for index in _elided(len(result.running)):
            if index is None:
                table.add_row("...")
            else:
                leading = "  ".join(f"{value:.6f}" for value in result.running[index, :3])
                table.add_row(str(int(result.running_steps[index])), leading)
        console.print(table)
    for name, value in _facts(result, how):
        line = f"{name:>22}: {value}"
        if console.is_terminal:
            line = "\n".join(textwrap.wrap(line, console.width, subsequent_indent=" " * 24))
        console.print(line, highlight=False, soft_wrap=True)  # files and pipes get whole lines


def write_csv(result: LyapunovSpectrum, path: Path) -> None:
    """Write a row for each exponent: index, exponent, stderr, rounding_error, resolved; the last two are empty where
    rounding was not checked. Raises UserError when the file cannot be written."""

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["index", "exponent", "stderr", "rounding_error", "resolved"])
            for index, (exponent, stderr) in enumerate(zip(result.exponents, result.stderr, strict=True)):
                rounding = "" if result.rounding_error is None else result.rounding_error[index]
                resolved = "" if result.resolved is None else result.resolved[index]
                writer.writerow([index + 1, exponent, stderr, rounding, resolved])

    _write(path, write)


def draw(result: LyapunovSpectrum, path: Path) -> None:
    """Draw the exponents over their index into a picture. Raises UserError when the file cannot be written."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")  # without pyplot: no window, whatever the backend
    result.plot(figure.add_subplot())
    _write(path, lambda temporary: figure.savefig(temporary, format=path.suffix[1:].lower(), dpi=150))


def check_writable(path: Path, picture: bool = False) -> None:
    """Raise UserError when a file cannot be made there, or is a picture of an unknown kind: before any work."""
    if picture:
        from matplotlib.figure import Figure

        known = sorted(Figure().canvas.get_supported_filetypes())
        if path.suffix[1:].lower() not in known:
            raise UserError(f"{str(path)!r} ends in {path.suffix!r}: expected a picture, one of .{', .'.join(known)}")
    if (kind := kind_of(path)) not in (None, "a file"):
        raise UserError(f"{str(path)!r} is {kind}: expected the path of a file to write")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        why = "cannot be written" if path.parent.is_dir() else "does not exist"
        raise UserError(f"{str(path)!r} would lie in a directory that {why}: expected the path of a file to write")


def _write(path: Path, write: Any) -> None:
    try:
        write_atomically(path, write)
    except OSError as error:
        raise UserError(
            f"{str(path)!r} cannot be written ({error.strerror or error}): expected a writable path"
        ) from error


def as_json(result: LyapunovSpectrum, how: Computation) -> str:
    """Everything of a result. Numbers that are not finite are the strings "inf", "-inf" and "nan", which JSON lacks."""
    content = {
        "network": how.title,
        "status": result.status,
        "exponents": result.exponents,
        "stderr": result.stderr,
        "rounding_error": result.rounding_error,
        "resolved": result.resolved,
        "maximum": result.maximum,
        "mean": result.mean,
        "sum": float(result.exponents.sum()),
        "kaplan_yorke_dimension": result.kaplan_yorke_dimension,
        "entropy_rate": result.entropy_rate,
        "sum_rule_residual": result.sum_rule_residual,
        "dead_directions": result.dead_directions,
        "size": result.size,
        "sequences": len(result.per_sequence),
        "steps": result.steps,
        "warmup": how.warmup,
        "jacobian": how.jacobian,
        "precision": result.precision,
        "precision_asked_for": how.precision,
        "seconds": how.seconds,
        "per_sequence": result.per_sequence,
        "running_steps": result.running_steps,
        "running": result.running,
    }
    return json.dumps(_plain(content), indent=2, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _elided(count: int) -> Iterator[int | None]:
    """Yield indices of the rows to show; None for those left out."""
    if count <= _SHOWN:
        yield from range(count)
        return
    yield from range(_SHOWN // 2)
    yield None
    yield from range(count - _SHOWN // 4, count)


def _row(result: LyapunovSpectrum, index: int) -> list[str]:
    rounding = "-" if result.rounding_error is None else f"{result.rounding_error[index]:.1g}"
    resolved = "-" if result.resolved is None else ("yes" if result.resolved[index] else "no")
    stderr = "-" if np.isnan(result.stderr[index]) else f"{result.stderr[index]:.2g}"
    return [str(index + 1), f"{result.exponents[index]:.6f}", stderr, rounding, resolved]


def _facts(result: LyapunovSpectrum, how: Computation) -> Iterator[tuple[str, str]]:
    total, followed = float(result.exponents.sum()), len(result.exponents)
    yield "largest exponent", f"{result.maximum:.6f} nats/step{_stderr(result)}"
    yield "which means", reading(result)
    yield "mean exponent", f"{result.mean:.6f} nats/step"
    if followed == result.size:
        trend = "shrink" if total < 0 else "grow" if total > 0 else "stay as they are"
        yield "sum", f"{total:.6f} nats/step: volumes of states {trend}"
    else:
        yield "sum", f"{total:.6f} nats/step, of the {counted(followed, 'exponent')} followed of {result.size}"
    more = f"not known from {followed} of {result.size} exponents; raise --k"
    dimension, entropy = result.kaplan_yorke_dimension, result.entropy_rate
    filled = f"{dimension:.3f} of {result.size}" + ("" if dimension else ": no direction grows")
    yield "Kaplan-Yorke dimension", more if math.isnan(dimension) else filled
    bound = f"{entropy:.6f} nats/step (the positive exponents' sum)"
    yield "entropy rate, at most", more if math.isnan(entropy) else bound
    yield "sum rule residual", _residual(result.sum_rule_residual)
    dead = result.dead_directions
    yield "dead directions", f"{dead}" + (" (exponents of -inf: disturbances there are gone at once)" if dead else "")
    yield "not resolved", unresolved(result)
    warmup = f", after {counted(how.warmup, 'step')} of warm-up" if how.warmup else ""
    yield "sequences x steps", f"{len(result.per_sequence)} x {result.steps}{warmup}"
    kinds = {"exact": "exact (float64)", "fast": "fast (float32 tangents)", "extended": "extended (many digits)"}
    reasons = {
        "fast": ", as the Jacobians are too ill-conditioned for fast",
        "extended": ", which resolves all of them",
    }
    reason = "" if how.precision == result.precision else reasons[how.precision]
    yield "precision", kinds[result.precision] + reason
    yield "time taken", f"{how.seconds:.2f} s"


def _stderr(result: LyapunovSpectrum) -> str:
    stderr = float(result.stderr[0])
    return f" +- {stderr:.2g}" if math.isfinite(stderr) else ""


def _residual(residual: float) -> str:
    if math.isnan(residual):
        return "not known: it needs all exponents"
    if math.isinf(residual):
        return "not known: det J is too small for a number"
    return f"{residual:.1e} (sum of log |r| against log |det J|: 0 but for rounding)"


def reading(result: LyapunovSpectrum) -> str:
    """Return what the largest exponent says about the network.

    It counts as 0 within two standard errors, and within 1 / steps: so little makes no factor e in the whole run.
    """
    largest, margin = result.maximum, _margin(result)
    if math.isinf(largest):
        return "every disturbance of the state is gone at once"
    if abs(largest) <= margin:
        over = counted(result.steps, "step")
        return f"about 0 (within {margin:.2g}): disturbances neither grow nor fade noticeably in {over}"
    scale = 1 / abs(largest)
    if largest > 0:
        return f"above 0, chaotic: nearby states separate, by a factor e every {counted(f'{scale:.3g}', 'step')}"
    return (
        "below 0: nearby states merge; the network remembers a disturbance for about "
        f"{counted(f'{scale:.3g}', 'step')} (it fades by a factor e in so many)"
    )


def _margin(result: LyapunovSpectrum) -> float:
    stderr = float(np.nan_to_num(result.stderr[0], nan=0.0, posinf=0.0, neginf=0.0))
    return max(2 * stderr, 1 / result.steps)


def unresolved(result: LyapunovSpectrum) -> str:
    """Say how many exponents rounding may have spoilt, and the likely reasons."""
    if result.resolved is None or result.rounding_error is None:
        return "not checked (--no-check)"
    lost = ~result.resolved
    if not lost.any():
        return f"0 of {len(lost)}: rounding has spoilt none"
    errors, stderr = result.rounding_error[lost], np.nan_to_num(result.stderr[lost])
    underflowed = np.isinf(errors)
    chaotic = result.maximum > _margin(result)
    drowned = ~underflowed & chaotic & (errors <= 3 * stderr)
    better = {"fast": "exact", "exact": "extended"}.get(result.precision)
    remedy = f"; try --precision {better}" if better else ""
    reasons = (
        (underflowed, "by underflow: numbers along those directions become too small to hold"),
        (
            drowned,
            "by chaos: rounding decides which trajectory is followed, which costs about a standard error or less; more "
            "sequences or steps lessen both",
        ),
        (~underflowed & ~drowned, f"by saturated units or nearly parallel directions, where digits are lost{remedy}"),
    )
    likely = "; ".join(f"{directions.sum()} {why}" for directions, why in reasons if directions.any())
    return f"{lost.sum()} of {len(lost)}. Likely {likely}"
