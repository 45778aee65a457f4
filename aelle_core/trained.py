"""Trained studies, read from their stores as arrays for an analysis."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aelle_core.errors import UserError
from aelle_core.evaluation import Examples
from aelle_core.interpolation import interpolate_spectrum
from aelle_core.store import SpectraStore
from aelle_core.study import QuarantinedPack, RunDirectory, Study
from aelle_core.study.nights import Nights

MISSING = "missing"
"""The status of networks that are not there because their pack was quarantined."""


@dataclass(frozen=True)
class Trained:
    """A study whose networks have been trained, where they are stored, and the packs that it was completed without."""

    store: SpectraStore
    study: Study
    quarantined: Sequence[QuarantinedPack] = ()


def trained_studies(run: RunDirectory) -> list[Trained]:
    """What an analysis of a run reads: its study, or, where it is a series of nights, those of all finished nights."""
    nights = Nights(run)
    runs = [nights.run(night) for night in nights.finished()] or [run]
    return [Trained(each.store, each.study(), each.quarantine.packs()) for each in runs]


def load_examples(
    store: SpectraStore, study: Study, kind: str | None = None, *, quarantined: Sequence[QuarantinedPack] = ()
) -> tuple[dict[int, Examples], dict[str, int]]:
    """The stored networks of a study as arrays; see `joint_examples`."""
    return joint_examples([Trained(store, study, quarantined)], kind)


def joint_examples(trained: Sequence[Trained], kind: str | None = None) -> tuple[dict[int, Examples], dict[str, int]]:
    """The stored networks of studies of one shape as arrays, epoch by epoch, and how many ended with which status; with
    spectra of that kind, "hidden" or "full", by default the first that the studies name.

    Networks of quarantined packs may be missing: they are counted under the status "missing" and in no epoch's
    arrays. Networks of several studies are different networks: the study's identity goes before their names.

    An epoch is there when spectra were taken after it, and a network in it when its own could be computed. One that
    diverged before the end counts with the largest final loss of those that did not. Spectra of several sizes are
    interpolated to the largest. Raises UserError when not all else that was planned is stored, and when the studies
    differ in more than their seeds.
    """
    _check_one_shape([each.study for each in trained])
    study = trained[0].study
    rows: list[dict[str, Any]] = []
    missing = 0
    for each in trained:
        found, absent = _finished_rows(each)
        if len(trained) > 1:
            found = [row | {"network": f"{row['study']}/{row['network']}"} for row in found]
        rows += found
        missing += absent
    last = [row for row in rows if row["epoch"] == study.epochs]
    finite = [row["validation_loss"] for row in last if row["status"] == "ok"]
    if not finite:
        raise UserError(f"study {study.identity}: all {len(last)} networks diverged; expected some that did not")
    worst = max(finite)
    final_loss = {row["network"]: row["validation_loss"] if row["status"] == "ok" else worst for row in last}
    accuracy = {row["network"]: row["validation_accuracy"] for row in last}
    column = f"spectrum_{kind or study.spectra[0]}"
    size = max(len(row[column]) for row in rows if row[column] is not None)
    examples = {}
    for epoch in filter(study.has_spectra, range(study.epochs + 1)):
        chosen = [row for row in rows if row["epoch"] == epoch and row[column] is not None]
        hyperparameters = [dict(row["hyperparameters"]) for row in chosen]
        names = sorted({name for each in hyperparameters for name in each})
        examples[epoch] = Examples(
            spectra=np.stack([interpolate_spectrum(np.asarray(row[column]), size) for row in chosen]),
            loss=np.array([row["validation_loss"] for row in chosen]),
            final_loss=np.array([final_loss[row["network"]] for row in chosen]),
            accuracy=np.array([accuracy[row["network"]] for row in chosen], dtype=float),
            cells=np.array([row["cell"] for row in chosen]),
            units=np.array([row["units"] for row in chosen]),
            hyperparameters={
                name: np.array([each.get(name, np.nan) for each in hyperparameters], dtype=float) for name in names
            },
            networks=np.array([row["network"] for row in chosen]),
            epoch=epoch,
        )
    counts = Counter(row["status"] for row in last)
    return examples, dict(counts) | ({MISSING: missing} if missing else {})


def _check_one_shape(studies: Sequence[Study]) -> None:
    first = studies[0].to_dict()
    for study in studies[1:]:
        differing = [name for name, value in study.to_dict().items() if name != "seed" and value != first[name]]
        if differing:
            raise UserError(
                f"studies {studies[0].identity} and {study.identity} differ in {', '.join(differing)}: expected them "
                "to differ in their seeds alone"
            )


def _finished_rows(trained: Trained) -> tuple[list[dict[str, Any]], int]:
    """All rows of a study without those of missing networks, and how many these are."""
    study = trained.study
    rows = trained.store.read(study=study.identity).to_pylist()
    ended = {row["network"] for row in rows if row["epoch"] == study.epochs}
    missing = {network for pack in trained.quarantined for network in pack.networks} - ended
    if len(ended) + len(missing) < study.total_networks:
        raise UserError(
            f"study {study.identity} has {len(ended)} of {study.total_networks} networks trained to the end: "
            "run the same command again to finish it"
        )
    return [row for row in rows if row["network"] not in missing], len(missing)
