"""`python -m aelle_core.analysis.forecasters`: does what tells good forecasters of some systems tell those of another?

Trains the preset `forecasters` on each system in this process, one run directory each, and goes on where it was
stopped. Then each system is left out in turn: classifiers are fitted to the networks of the others.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from aelle_core.analysis.trained import Trained, joint_examples
from aelle_core.evaluation.classifiers.base import Classifier, classifiers
from aelle_core.evaluation.examples import NetworkExamples
from aelle_core.evaluation.metrics import Measurement
from aelle_core.evaluation.splits.by_group import splits_by_group
from aelle_core.evaluation.summary import summarise
from aelle_core.evaluation.tables.base import Entry, Table
from aelle_core.evaluation.tables.combinations import combination
from aelle_core.evaluation.tables.material import Material
from aelle_core.files.atomic import write_atomically
from aelle_core.foundation.errors import UserError
from aelle_core.report.text_tables import markdown
from aelle_core.study import RunDirectory, Study, get_preset, run_study
from aelle_core.study.presets.forecasters import SYSTEMS
from aelle_core.tasks import get_task
from aelle_core.tasks.forecast import Forecast

METRICS = ("f1", "rank_correlation")
ROWS: Mapping[str, tuple[type[Classifier], bool]] = {
    "loss": (combination(("loss",)), False),
    "hyperparameters": (combination(("hyperparameters",)), False),
    "hyperparameters and loss": (combination(("hyperparameters", "loss")), False),
    "closed-loop spectrum": (combination(("spectrum",)), False),
    "AeLLE predictor, closed-loop spectrum": (classifiers["AeLLE predictor"], False),
    "closed-loop spectrum over the system's largest exponent": (combination(("spectrum",)), True),
    "AeLLE predictor, over the system's largest exponent": (classifiers["AeLLE predictor"], True),
}
"""Row -> what is fitted, and whether spectra are given in units of the system's largest exponent."""
_NAN = float("nan")


def study_of(system: str, **changes: Any) -> Study:
    """Return the preset's study on that system."""
    return get_preset("forecasters").replace(name=f"forecasters-{system}", task_options=SYSTEMS[system], **changes)


def beside_its_median(trained: Trained, scaled: bool) -> NetworkExamples:
    """Return a study's networks after the last epoch, their names with the system's before them, and their goal over
    the median of all, so that a good network has less than 1 whatever the system; `scaled`, with exponents over the
    system's largest exponent."""
    study = trained.study
    examples = joint_examples([trained])[0][study.epochs]
    task = get_task(study.task, seed=study.seed, options=study.task_options)
    assert isinstance(task, Forecast)
    assert task.system is not None
    name, known = task.system.name, task.system.published
    if scaled and (known is None or not known.largest):
        raise UserError(f"{name} has no published largest exponent: expected one to measure spectra by")
    unit = known.largest * task.system.interval if scaled and known is not None and known.largest else 1.0
    return dataclasses.replace(
        examples,
        spectra=examples.spectra / unit,
        final_loss=examples.final_loss / np.median(examples.final_loss),
        loss=examples.loss,
        networks=np.array([f"{name}/{network}" for network in examples.networks]),
    )


def left_out(trained: Sequence[Trained]) -> Table:
    """Return the table: each system left out, what was fitted to the others' networks and tested on its own."""
    entries, measured = [], []
    for scaled in (False, True):
        parts = [beside_its_median(finished, scaled) for finished in trained]
        everyone = parts[0]
        for part in parts[1:]:
            everyone = everyone.with_rows(part)
        labels = np.array([network.partition("/")[0] for network in everyone.networks])
        groups, splits = zip(*splits_by_group(everyone, labels, seed=0), strict=True)
        material = Material("forecast", {"closed_loop": {everyone.epoch: everyone}}, 1.0)
        chosen = {row: kind for row, (kind, over) in ROWS.items() if over == scaled}
        measurements = material.measure(list(splits), [everyone.epoch], chosen)
        measured += measurements
        entries += _entries(measurements, groups, list(chosen))
    share = "Calling every network good would give an F1 of .667 (good: below the median of its system)."
    caption = (
        "Fitted to the networks of all other systems (80 and 20 % for training and cuts), tested on those of the "
        "system named above; the last column is the mean over systems with its 95 % interval. Rank correlations are "
        "within cells."
    )
    return Table("system_left_out", "Good forecasters of a system never seen", caption, entries, (share,))


def _entries(measurements: Sequence[Measurement], groups: Sequence[str], rows: Sequence[str]) -> list[Entry]:
    summaries = {(summary.classifier, summary.metric): summary for summary in summarise(measurements)}
    entries = []
    for row in rows:
        for metric in METRICS:
            entries += [
                Entry(row, metric, groups[measurement.split], getattr(measurement, metric), _NAN, _NAN)
                for measurement in sorted(measurements, key=lambda measurement: measurement.split)
                if measurement.classifier == row
            ]
            mean = summaries[row, metric]
            entries.append(Entry(row, metric, "all", mean.mean, mean.low, mean.high))
    return entries


def main(
    runs: Annotated[Path, typer.Option(help="Where the runs are kept.")] = Path("runs/forecasters"),
    output: Annotated[Path, typer.Option(help="The page.")] = Path("docs/results/forecasters.md"),
    networks: Annotated[int, typer.Option(help="Networks of each cell and system.")] = 32,
    seed: Annotated[int, typer.Option(help="Decides everything that is drawn.")] = 0,
    way: Annotated[str | None, typer.Option(help="Way of training packs; the fastest here by default.")] = None,
) -> None:
    """Train what is not trained yet, and write the table."""
    trained = []
    for system in SYSTEMS:
        study, run = study_of(system, networks=networks, seed=seed), RunDirectory(runs / system)
        run_study(study, run, way=way, on_epoch=lambda pack, epoch: print(f"{pack.name} epoch {epoch}", flush=True))
        trained.append(Trained.of(run))
    title = f"Forecasters across systems: {networks} networks of each cell on each system, seed {seed}"
    text = markdown(title, [left_out(trained)])
    write_atomically(output, lambda temporary: temporary.write_text(text))
    print(text)


if __name__ == "__main__":
    typer.run(main)
