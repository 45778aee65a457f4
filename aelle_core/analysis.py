"""From stored spectra to predictions: examples for the evaluation, the fitted AeLLE, and the report's contents."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from aelle_core.aelle import AeLLE
from aelle_core.errors import UserError
from aelle_core.evaluation import (
    Examples,
    Measurement,
    Split,
    classifiers,
    good_fraction_by_cell,
    measurements_from_table,
    measurements_table,
    median_threshold,
    splits_by_network,
    summarise,
    verdicts,
)
from aelle_core.evaluation.material import MINIMUM, Material
from aelle_core.evaluation.tables.base import Table, make_tables
from aelle_core.files import write_atomically
from aelle_core.interpolation import interpolate_spectrum
from aelle_core.places import Place, arrow_file
from aelle_core.report import ReportData, draw_figures, save_figures, write_report
from aelle_core.store import SpectraStore
from aelle_core.study import QuarantinedPack, RunDirectory, Study
from aelle_core.study.quarantine import quarantined_sentence
from aelle_core.tables import kept_tables
from aelle_core.tasks import get_task, tasks

MISSING = "missing"
"""The status of networks that are not there because their pack was quarantined."""


@dataclass(frozen=True)
class Analysis:
    """What is analysed: the networks at every epoch, the loss below which one ended well, the splits, and in one
    sentence which networks are missing (empty: none)."""

    examples: dict[int, Examples]
    threshold: float
    splits: list[Split]
    status_counts: dict[str, int]
    missing: str = ""


def prepare_analysis(
    store: SpectraStore, study: Study, *, splits: int, seed: int, quarantined: Sequence[QuarantinedPack] = ()
) -> Analysis:
    """Read a finished study for the evaluation. Raises UserError when it is not finished: when networks are missing
    that do not belong to `quarantined` packs."""
    examples, status_counts = load_examples(store, study, quarantined=quarantined)
    final = examples[study.epochs]
    threshold = median_threshold(final.final_loss) if study.threshold is None else study.threshold
    if not 0 < np.count_nonzero(final.final_loss < threshold) < len(final):
        low, high = final.final_loss.min(), final.final_loss.max()
        raise UserError(
            f"study {study.identity}: all final losses, {low:.3g} to {high:.3g}, are on one side of the threshold "
            f"{threshold:g}: expected networks on both"
        )
    missing = ""
    if count := status_counts.get(MISSING, 0):
        missing = f"{count} of {study.total_networks} networks are missing: {quarantined_sentence(quarantined)}"
    return Analysis(examples, threshold, splits_by_network(final, splits, seed=seed), status_counts, missing)


def load_examples(
    store: SpectraStore, study: Study, kind: str | None = None, *, quarantined: Sequence[QuarantinedPack] = ()
) -> tuple[dict[int, Examples], dict[str, int]]:
    """The stored networks of a study as arrays, epoch by epoch, and how many ended with which status; with spectra of
    that kind, "hidden" or "full", by default the first that the study names.

    Networks of `quarantined` packs may be missing: they are counted under the status "missing" and in no epoch's
    arrays.

    An epoch is there when spectra were taken after it, and a network in it when its own could be computed. One that
    diverged before the end counts with the largest final loss of those that did not. Spectra of several sizes are
    interpolated to the largest. Raises UserError when not all else that was planned is stored.
    """
    rows = store.read(study=study.identity).to_pylist()
    last = [row for row in rows if row["epoch"] == study.epochs]
    ended = {row["network"] for row in last}
    missing = {network for pack in quarantined for network in pack.networks} - ended
    rows = [row for row in rows if row["network"] not in missing]
    if len(last) + len(missing) < study.total_networks:
        raise UserError(
            f"study {study.identity} has {len(last)} of {study.total_networks} networks trained to the end: "
            "run the same command again to finish it"
        )
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
    return examples, dict(counts) | ({MISSING: len(missing)} if missing else {})


def study_tables(run: RunDirectory, study: Study, analysis: Analysis, settings: dict[str, Any]) -> list[Table]:
    """Every table of a finished study, the paper's and ours. `settings` are "splits", "seed" and "regress" ("log" or
    "loss"). The run keeps them. Raises UserError with fewer than 20 networks."""

    def make() -> list[Table]:
        first, given_up = study.spectra[0], run.quarantine.packs()
        kinds = {
            kind: analysis.examples if kind == first else load_examples(run.store, study, kind, quarantined=given_up)[0]
            for kind in study.spectra
        }
        parameters = {"target": settings["regress"]}
        material = Material(
            study.task, kinds, analysis.threshold, settings["splits"], settings["seed"], parameters, jobs=-1
        )
        return make_tables(material)

    recipe = {"identity": study.identity, "data": _digest(analysis.examples), **settings}
    if analysis.missing:
        recipe["missing"] = analysis.missing
    return kept_tables(run.analysis / "tables.json", recipe, make)


def _digest(examples: Mapping[int, Examples]) -> str:
    """SHA-256 of the networks' spectra and losses: a run that was made again may have others."""
    found = hashlib.sha256()
    for epoch, present in sorted(examples.items()):
        found.update(f"{epoch} {' '.join(present.networks)}".encode())
        for array in (present.spectra, present.loss, present.final_loss):
            found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def fit_aelle(analysis: Analysis, study: Study, parameters: dict[str, Any]) -> AeLLE:
    """The AeLLE of the first split: fitted to its training networks' final spectra, the others never seen."""
    train = analysis.examples[study.epochs].of(analysis.splits[0].train)
    return AeLLE(**parameters).fit(train.spectra, train.final_loss)


def save_analysis(
    run: RunDirectory, measurements: Sequence[Measurement], aelle: AeLLE, settings: dict[str, Any]
) -> None:
    """Keep what the report is drawn from: measurements (Parquet), the model (safetensors), the settings (JSON)."""
    table = measurements_table(measurements)
    write_atomically(run.analysis / "measurements.parquet", lambda temporary: pq.write_table(table, temporary))
    aelle.save(run.analysis / "aelle.safetensors")
    text = json.dumps(settings, indent=2)
    write_atomically(run.analysis / "analysis.json", lambda temporary: temporary.write_text(text))


def report_data(run: RunDirectory) -> ReportData:
    """The report's contents, from the store and the saved analysis. Raises UserError when there is none yet."""
    held = run.read_settings()
    study = run.study()
    try:
        settings = json.loads((run.analysis / "analysis.json").read_text())
    except FileNotFoundError as error:
        raise UserError(f"no analysis in {str(run)!r}: expected one made by `aelle analyse {run}`") from error
    measurements = measurements_from_table(_read_table(run.analysis / "measurements.parquet"))
    analysis = prepare_analysis(
        run.store, study, splits=settings["splits"], seed=settings["seed"], quarantined=run.quarantine.packs()
    )
    summaries = summarise(measurements)
    final = analysis.examples[study.epochs]
    return ReportData(
        title=study.name,
        study=study.to_dict() | {"identity": study.identity},
        versions=held["versions"],
        seeds={"study seed": study.seed, "analysis": settings, "data": held["data"]},
        examples_by_epoch=analysis.examples,
        aelle=AeLLE.load(run.analysis / "aelle.safetensors"),
        test_networks=analysis.splits[0].test,
        threshold=analysis.threshold,
        threshold_origin="the median of all" if study.threshold is None else "as the study says",
        loss_name=tasks[study.task].loss_name,
        summaries=summaries,
        classifier_descriptions={name: entry.description for name, entry in classifiers.items()},
        verdicts=[*filter(None, [analysis.missing]), *verdicts(summaries, study.epochs)],
        good_fraction_by_cell=good_fraction_by_cell(final, analysis.threshold),
        tables=study_tables(run, study, analysis, settings) if len(final) >= MINIMUM else [],
        illustration=_illustration(study),
        status_counts=analysis.status_counts,
        data_location=str(run.path / "spectra"),
        command=f"aelle study {study.name}",
    )


def _read_table(path: Place) -> pa.Table:
    name, filesystem = arrow_file(path)
    return pq.read_table(name, filesystem=filesystem)


def _illustration(study: Study) -> list[tuple[str, np.ndarray]] | str:
    """What the task looks like; in one sentence why not, where its data are not on this machine."""
    try:
        return get_task(study.task, seed=study.seed, options=study.task_options).illustration()
    except UserError as error:
        return str(error)


def draw_report(run: RunDirectory) -> Place:
    """Draw the figures and the report again from what is stored. Returns the report's path."""
    data = report_data(run)
    pictures = draw_figures(data)
    save_figures(pictures, run.figures)
    return write_report(data, pictures, run.report)
