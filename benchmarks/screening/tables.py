"""Markdown tables of the measured rows."""

from collections.abc import Sequence

import numpy as np

from benchmarks.screening.chosen import DEFAULT, FIXED, RANDOM, SCALES, SPECTRA
from benchmarks.shared.rows import Rows

AIM = 0.1


def of_chosen(rows: Rows) -> str:
    """Loss after training by start, median (least to largest) over seeds, a table for each task."""
    parts = []
    for task in dict.fromkeys(row["task"] for row in rows.rows):
        lines = _table("cell", DEFAULT, "best fixed scale in hindsight", RANDOM, SPECTRA, "against fixed", SCALES)
        ratios: dict[str, list[float]] = {}
        for cell in dict.fromkeys(row["cell"] for row in rows.rows if row["task"] == task):
            losses: dict[str, list[float]] = {}
            for row in rows.rows:
                if row["task"] == task and row["cell"] == cell:
                    losses.setdefault(row["start"], []).append(float(row["loss"]))
            fixed = {scale: losses[f"fixed {scale:g}"] for scale in FIXED}
            best = min(fixed, key=lambda scale: float(np.median(fixed[scale])))
            against = {
                start: float(np.median(medians) / np.median(fixed[best]) - 1)
                for start, medians in {**losses, "fixed": fixed[best]}.items()
            }
            for start, ratio in against.items():
                ratios.setdefault(start, []).append(ratio)
            mark = "" if against[SPECTRA] <= AIM else " (missed)"
            lines.append(
                _line(
                    cell,
                    _spread(losses[DEFAULT]),
                    f"{_spread(fixed[best])} at {best:g}",
                    _spread(losses[RANDOM]),
                    _spread(losses[SPECTRA]),
                    f"{against[SPECTRA]:+.0%}{mark}",
                    _spread(losses[SCALES]),
                )
            )
        count = len(ratios[SPECTRA])
        for start in (SPECTRA, SCALES, DEFAULT, RANDOM):
            within = sum(ratio <= AIM for ratio in ratios[start])
            lines.append(f"<!-- {start}: within 10 % of the best fixed scale in {within} of {count} cells -->")
        parts.append(f"## {task}\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


def of_price(rows: Rows) -> str:
    """Rank correlation by study, epoch, sequences and exponents; milliseconds where they were measured."""
    kinds = [(count, exponents) for count in (1, 3, 15) for exponents in (8, 0)]
    names = [f"{count}, {exponents or 'all'}" for count, exponents in kinds]
    lines = _table("study, epoch", *names)
    for study in dict.fromkeys(row["study"] for row in rows.rows):
        own = [row for row in rows.rows if row["study"] == study]
        for epoch in sorted({int(row["epoch"]) for row in own}):
            held = {(int(row["sequences"]), int(row["exponents"])): row for row in own if int(row["epoch"]) == epoch}
            cells = [
                f"{float(held[kind]['rank']):.2f} ± {float(held[kind]['error']):.2f}" if kind in held else "-"
                for kind in kinds
            ]
            lines.append(_line(f"{study}, {epoch}", *cells))
        timed = [row for row in own if np.isfinite(float(row["milliseconds"]))]
        costs = {(int(row["sequences"]), int(row["exponents"])): float(row["milliseconds"]) for row in timed}
        shown = [f"{costs[kind]:.2f} ms" if np.isfinite(costs.get(kind, np.nan)) else "-" for kind in kinds]
        lines.append(_line(f"{study}, a spectrum", *shown))
    return "\n".join(lines)


def _table(*columns: str) -> list[str]:
    return [_line(*columns), "|" + "---|" * len(columns)]


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _spread(losses: Sequence[float]) -> str:
    return f"{np.median(losses):.2f} ({min(losses):.2f} to {max(losses):.2f})"
