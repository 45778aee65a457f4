"""A report's data, made of random networks in a moment: nothing is trained."""

import numpy as np

from aelle_core.aelle.estimator import AeLLE
from aelle_core.evaluation import NetworkExamples, Summary, classifiers, good_fraction_by_cell
from aelle_core.evaluation.tables.base import Entry, Table
from aelle_core.report import ReportData

EPOCHS = (0, 1, 2, 4)


def random_examples(count: int, cells: tuple[str, ...], epoch: int, size: int = 6) -> NetworkExamples:
    """Return networks whose largest exponent goes with their loss, the same at every epoch but for their spectra."""
    draw = np.random.default_rng(5)
    losses = draw.uniform(0.2, 2.0, count)
    spectra = -np.sort(draw.uniform(0, 3, (count, size)), axis=1) + losses[:, None] * (1 + epoch) / 5
    names = np.array([cells[index % len(cells)] for index in range(count)])
    return NetworkExamples(
        spectra=spectra,
        loss=losses + 1 / (1 + epoch),
        final_loss=losses,
        accuracy=1 - losses / 3,
        cells=names,
        units=np.full(count, size),
        hyperparameters={"scale": draw.uniform(0.1, 2, count), "gain": np.where(names == cells[0], 1.5, np.nan)},
        networks=np.array([f"{name}-{size}-{index:04d}" for index, name in enumerate(names)]),
        epoch=epoch,
    )


def random_report(count: int = 60, cells: tuple[str, ...] = ("rnn", "gru", "lstm")) -> ReportData:
    """Return the data of a report on networks of these cells, a fifth of them not seen by its AeLLE."""
    examples = {epoch: random_examples(count, cells, epoch) for epoch in EPOCHS}
    final = examples[EPOCHS[-1]]
    threshold = float(np.median(final.final_loss))
    kinds = {name: entry.kind for name, entry in classifiers.items()}
    metrics = ("f1", "precision", "recall", "balanced_accuracy", "rank_correlation")
    summaries = [
        Summary(name, kind, epoch, metric, 0.9 - 0.02 * rank, 0.5, 0.95)
        for rank, (name, kind) in enumerate(kinds.items())
        for epoch in EPOCHS
        for metric in metrics
    ]
    entries = [Entry(cell, "f1", "LE max", 0.5 + rank / 10, 0.4, 0.9) for rank, cell in enumerate(cells)]
    return ReportData(
        title="random networks",
        study={"task": "digits", "identity": "random-0", "cells": list(cells)},
        versions={"numpy": np.__version__},
        seeds={"study seed": 0},
        examples_by_epoch=examples,
        aelle=AeLLE(steps=30, members=2, random_state=0).fit(
            final.spectra[count // 5 :], final.final_loss[count // 5 :]
        ),
        test_networks=frozenset(map(str, final.networks[: count // 5])),
        threshold=threshold,
        threshold_origin="the median of all",
        loss_name="loss (nats)",
        summaries=summaries,
        classifier_descriptions={name: entry.description for name, entry in classifiers.items()},
        verdicts=["A verdict."],
        good_fraction_by_cell=good_fraction_by_cell(final, threshold),
        tables=[
            Table("one_by_one", "Cell by cell", "A caption.", entries, ("A remark.",)),
            Table("none", "A table without numbers", "A caption.", (), ("Not made: no sizes.",)),
        ],
        illustration="none",
        status_counts={"ok": count},
        data_location="runs/random",
        command="aelle study random",
    )
