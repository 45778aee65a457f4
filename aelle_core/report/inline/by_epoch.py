"""What tells the outcome, epoch by epoch."""

from collections.abc import Sequence
from dataclasses import dataclass

from aelle_core.evaluation import Summary, classifiers
from aelle_core.report.data import ReportData
from aelle_core.report.figures.early import named
from aelle_core.report.inline.axes import Axis, path

WIDTH, HEIGHT = 480, 400
SHOWN = ("AeLLE predictor", "AeLLE PC1", "LE max", "cell and hyperparameters", "current loss")
"""Drawn beside the classifiers that the verdicts name."""


@dataclass(frozen=True)
class Line:
    """A classifier's F1 by epoch. `style` counts the lines of its side, spectra or what knows none."""

    name: str
    description: str
    baseline: bool
    style: int
    d: str
    band: str
    points: Sequence[tuple[float, float, str]]
    last: float


@dataclass(frozen=True)
class EpochPicture:
    """What the template draws."""

    lines: Sequence[Line]
    x: Axis
    y: Axis
    epochs: Sequence[tuple[float, int]]
    width: int = WIDTH
    height: int = HEIGHT


def epoch_picture(data: ReportData) -> EpochPicture | None:
    """Return the F1 by epoch of the main classifiers and of those that the verdicts name, best last value first.

    What looks at the loss has no point at the epoch where that is the outcome itself. None where there is only one
    epoch.
    """
    epochs = sorted(data.examples_by_epoch)
    if len(epochs) < 2:
        return None
    best = named(data)
    series = {name: _series(data, name) for name in dict.fromkeys((*best, *SHOWN))}
    drawn = [name for name, rows in series.items() if len(rows) > 1]
    lowest = min((summary.mean for name in drawn for summary in series[name]), default=0.0)
    x = Axis(epochs[0], epochs[-1], 54, WIDTH - 12)
    y = Axis(min(0.4, 0.1 * int(10 * lowest)), 1.0, HEIGHT - 44, 12)
    lines: list[Line] = []
    for name in sorted(drawn, key=lambda label: -series[label][-1].mean):
        rows = series[name]
        baseline = rows[0].kind == "baseline"
        style = sum(line.baseline == baseline for line in lines)
        lines.append(
            Line(
                name,
                data.classifier_descriptions.get(name, ""),
                baseline,
                style,
                path([(x.position(summary.epoch), y.position(summary.mean)) for summary in rows]),
                _band(rows, x, y) if name in best else "",
                [
                    (
                        x.position(summary.epoch),
                        y.position(summary.mean),
                        f"{name}, epoch {summary.epoch}: {summary.shown}",
                    )
                    for summary in rows
                ],
                rows[-1].mean,
            )
        )
    return EpochPicture(lines, x, y, _labelled(epochs, x))


def _series(data: ReportData, name: str) -> list[Summary]:
    """Return a classifier's F1, epoch by epoch, where it says anything."""
    entry = classifiers.get(name)
    outcome = data.outcome_epoch if entry is not None and entry.uses_loss else None
    summaries = [
        summary
        for summary in data.summaries
        if summary.classifier == name and summary.metric == "f1" and summary.epoch != outcome
    ]
    return sorted((summary for summary in summaries if summary.mean == summary.mean), key=lambda summary: summary.epoch)


def _band(rows: Sequence[Summary], x: Axis, y: Axis) -> str:
    """Return the 95 % intervals as a closed path; empty where any is missing."""
    if any(summary.low != summary.low for summary in rows):
        return ""
    above = [(x.position(summary.epoch), y.position(summary.high)) for summary in rows]
    below = [(x.position(summary.epoch), y.position(summary.low)) for summary in reversed(rows)]
    return path([*above, *below]) + "Z"


def _labelled(epochs: Sequence[int], x: Axis) -> list[tuple[float, int]]:
    """Return the epochs that are labelled: as many as do not touch, the first and the last among them."""
    kept = [epochs[-1]]
    for epoch in reversed(epochs[:-1]):
        if x.position(kept[-1]) - x.position(epoch) >= 26 and (epoch == epochs[0] or x.position(epoch) - x.start >= 26):
            kept.append(epoch)
    return [(x.position(epoch), epoch) for epoch in reversed(kept)]
