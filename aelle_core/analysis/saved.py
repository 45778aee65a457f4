"""What an analysis leaves in a run's directory: the fitted AeLLE, its measurements and its settings."""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from aelle_core.aelle.estimator import AeLLE
from aelle_core.analysis.prepare import Analysis
from aelle_core.evaluation import Measurement, measurements_from_table, measurements_table
from aelle_core.files.atomic import write_atomically
from aelle_core.files.places import Place, arrow_file
from aelle_core.foundation.errors import UserError
from aelle_core.study import RunDirectory, Study


def fit_aelle(analysis: Analysis, study: Study, parameters: dict[str, Any]) -> AeLLE:
    """Return the AeLLE of the first split: fitted to its training networks' final spectra, the others never seen."""
    train = analysis.examples[study.epochs].of(analysis.splits[0].train)
    return AeLLE(**parameters).fit(train.spectra, train.final_loss)


def save_analysis(
    run: RunDirectory,
    measurements: Sequence[Measurement],
    plane: AeLLE,
    settings: dict[str, Any],
    kept: AeLLE | None = None,
) -> None:
    """Save what the report is drawn from: measurements (Parquet), the settings (JSON), and models (safetensors): the
    `plane` of held-out networks as plane.safetensors, and the one to predict with, `kept` or the plane, as
    aelle.safetensors."""
    table = measurements_table(measurements)
    write_atomically(run.analysis / "measurements.parquet", lambda temporary: pq.write_table(table, temporary))
    plane.save(run.analysis / "plane.safetensors")
    (kept or plane).save(run.analysis / "aelle.safetensors")
    text = json.dumps(settings, indent=2)
    write_atomically(run.analysis / "analysis.json", lambda temporary: temporary.write_text(text))


def saved_measurements(run: RunDirectory) -> list[Measurement]:
    """Return what a run's saved analysis found, split by split."""
    return measurements_from_table(_read_table(run.analysis / "measurements.parquet"))


def _read_table(path: Place) -> pa.Table:
    name, filesystem = arrow_file(path)
    try:
        return pq.read_table(name, filesystem=filesystem)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{str(path)!r} cannot be read ({error}): expected an analysis' measurements") from error
