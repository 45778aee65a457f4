"""From stored spectra to predictions: examples for the evaluation, the fitted AeLLE, and the report's contents."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from aelle_core.aelle.estimator import AeLLE
from aelle_core.analysis.kept_tables import kept_tables
from aelle_core.analysis.trained import MISSING, Trained, joint_examples, trained_studies
from aelle_core.evaluation import (
    Examples,
    Measurement,
    Split,
    all_networks,
    classifiers,
    good_fraction_by_cell,
    measurements_from_table,
    measurements_table,
    median_threshold,
    protocol_of,
    splits_by_network,
    summarise,
    verdicts,
)
from aelle_core.evaluation.tables.base import Table, make_tables
from aelle_core.evaluation.tables.material import MINIMUM, Material
from aelle_core.files.atomic import write_atomically
from aelle_core.files.places import Place, arrow_file
from aelle_core.foundation.errors import UserError
from aelle_core.report import ReportData, draw_figures, save_figures, write_report
from aelle_core.store.dataset import SpectraStore
from aelle_core.study import QuarantinedPack, RunDirectory, Study
from aelle_core.study.joint import members
from aelle_core.study.nights import Nights
from aelle_core.study.quarantine import quarantined_sentence
from aelle_core.tasks import get_task, tasks


@dataclass(frozen=True)
class Analysis:
    """What is analysed: the studies, their networks at every epoch, the loss (nats) below which one ended well, the
    splits, how many networks ended with which status, and in one sentence which are missing (empty: none)."""

    trained: Sequence[Trained]
    examples: dict[int, Examples]
    threshold: float
    splits: list[Split]
    status_counts: dict[str, int]
    missing: str = ""

    @property
    def nights(self) -> list[str]:
        """The dates of the nights that are analysed together, in order; none where it is no series of nights."""
        return [each.night for each in self.trained if each.night is not None]


def prepare_analysis(
    store: SpectraStore, study: Study, *, splits: int, seed: int, quarantined: Sequence[QuarantinedPack] = ()
) -> Analysis:
    """Read a finished study for the evaluation. Raises UserError when it is not finished: when networks are missing
    that do not belong to `quarantined` packs."""
    return prepare_joint_analysis([Trained(store, study, quarantined)], splits=splits, seed=seed)


def prepare_joint_analysis(trained: Sequence[Trained], *, splits: int, seed: int) -> Analysis:
    """Read finished studies of one shape for an evaluation of all their networks.

    Raises UserError when one is not finished, when they differ in more than their seeds and numbers of networks, and
    when all networks ended on one side of the threshold.
    """
    study = trained[0].study
    examples, status_counts = joint_examples(trained)
    everyone = all_networks(examples)
    losses = everyone.final_loss
    threshold = median_threshold(losses) if study.threshold is None else study.threshold
    if not 0 < np.count_nonzero(losses < threshold) < len(losses):
        low, high = losses.min(), losses.max()
        raise UserError(
            f"study {study.identity}: all final losses, {low:.3g} to {high:.3g}, are on one side of the threshold "
            f"{threshold:g}: expected networks on both"
        )
    missing = ""
    if count := status_counts.get(MISSING, 0):
        given_up = [pack for each in trained for pack in each.quarantined]
        networks = sum(each.study.total_networks for each in trained)
        missing = f"{count} of {networks} networks are missing: {quarantined_sentence(given_up)}"
    drawn = splits_by_network(everyone, splits, seed=seed, shares=protocol_of(study.task).end)
    return Analysis(trained, examples, threshold, drawn, status_counts, missing)


def study_tables(run: RunDirectory, study: Study, analysis: Analysis, settings: dict[str, Any]) -> list[Table]:
    """Every table of a finished study, the paper's and ours. `settings` are "splits", "seed" and "regress" ("log" or
    "loss"). The run keeps them. Raises UserError with fewer than 20 networks."""

    recipe = tables_recipe(study, analysis, settings)
    path = run.analysis / "tables.json"
    return kept_tables(path, recipe, lambda: tables_of(analysis, settings))


def tables_recipe(study: Study, analysis: Analysis, settings: dict[str, Any]) -> dict[str, Any]:
    """What a study's tables depend on, but for the program: the networks, how they are split, and the settings."""
    shares = dataclasses.asdict(protocol_of(study.task))
    return {"identity": study.identity, "data": _digest(analysis.examples), "shares": shares, **settings}


def tables_of(analysis: Analysis, settings: dict[str, Any]) -> list[Table]:
    """Every table of finished studies of one shape, made; see `study_tables`."""
    study = analysis.trained[0].study
    kinds = {
        kind: analysis.examples if kind == study.spectra[0] else joint_examples(analysis.trained, kind)[0]
        for kind in study.spectra
    }
    parameters = {"target": settings["regress"]}
    how = (settings["splits"], settings["seed"], parameters)
    return make_tables(Material(study.task, kinds, analysis.threshold, *how, jobs=-1))


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


def saved_measurements(run: RunDirectory) -> list[Measurement]:
    """What a run's saved analysis found, split by split."""
    return measurements_from_table(_read_table(run.analysis / "measurements.parquet"))


def report_data(run: RunDirectory, analysis: Analysis | None = None) -> ReportData:
    """The report's contents, from the store and the saved analysis.

    `analysis` is what was saved, where it is at hand; otherwise the store is read again. Raises UserError when no
    analysis was saved yet, and naming the file that cannot be read.
    """
    held = run.read_settings()
    study = run.study()
    try:
        settings = json.loads((run.analysis / "analysis.json").read_text())
    except FileNotFoundError as error:
        raise UserError(f"no analysis in {str(run)!r}: expected one made by `aelle analyse {run}`") from error
    if analysis is None:
        analysis = prepare_joint_analysis(trained_studies(run), splits=settings["splits"], seed=settings["seed"])
    trained, joined = analysis.trained, " ".join(map(str, members(run)))
    aelle = AeLLE.load(run.analysis / "aelle.safetensors")
    found = shown(analysis, study, aelle, saved_measurements(run), loss_name=run.loss_name())
    return dataclasses.replace(
        found,
        versions=held["versions"],
        seeds={
            "study seed": [each.study.seed for each in trained] if joined else study.seed,
            "analysis": settings,
            "data": held["data"],
        },
        tables=study_tables(run, study, analysis, settings) if len(found.final) >= MINIMUM else [],
        illustration=_illustration(study),
        data_location=joined or str(Nights(run).path if analysis.nights else run.path / "spectra"),
        command=f"aelle analyse {joined} --together {run}" if joined else f"aelle study {study.name}",
    )


def shown(
    analysis: Analysis,
    study: Study,
    aelle: AeLLE,
    measurements: Sequence[Measurement],
    *,
    loss_name: str | None = None,
) -> ReportData:
    """Return what the figures of an analysis are drawn from; `study` is what it goes by. What a report says of a run,
    its versions, tables and places, is empty, and its task is not shown. `loss_name` is the task's by default."""
    nights = analysis.nights
    return ReportData(
        title=_title(study, nights, [each.study.seed for each in analysis.trained]),
        study=study.to_dict() | {"identity": study.identity},
        versions={},
        seeds={},
        examples_by_epoch=analysis.examples,
        aelle=aelle,
        test_networks=analysis.splits[0].test,
        threshold=analysis.threshold,
        threshold_origin="the median of all" if study.threshold is None else "as the study says",
        loss_name=loss_name or tasks[study.task].loss_name,
        summaries=summarise(measurements),
        classifier_descriptions={name: entry.description for name, entry in classifiers.items()},
        verdicts=[*filter(None, [analysis.missing]), *verdicts(measurements, study.epochs)],
        good_fraction_by_cell=good_fraction_by_cell(all_networks(analysis.examples), analysis.threshold),
        tables=[],
        illustration="The task's data were not asked for.",
        status_counts=analysis.status_counts,
        data_location="",
        command="",
    )


def _title(study: Study, nights: Sequence[str], seeds: Sequence[int]) -> str:
    if nights:
        return f"{study.name}, {len(nights)} nights from {nights[0]} to {nights[-1]}"
    return study.name if len(seeds) == 1 else f"{study.name}, seeds {', '.join(map(str, seeds))}"


def _read_table(path: Place) -> pa.Table:
    name, filesystem = arrow_file(path)
    try:
        return pq.read_table(name, filesystem=filesystem)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{str(path)!r} cannot be read ({error}): expected an analysis' measurements") from error


def _illustration(study: Study) -> list[tuple[str, np.ndarray]] | str:
    """What the task looks like; in one sentence why not, where its data are not on this machine."""
    try:
        return get_task(study.task, seed=study.seed, options=study.task_options).illustration()
    except UserError as error:
        return str(error)


def draw_report(run: RunDirectory, data: ReportData) -> Place:
    """Draw the figures and the report of a run, and save them. Returns the report's path."""
    pictures = draw_figures(data)
    save_figures(pictures, run.figures)
    return write_report(data, pictures, run.report)
