"""The tables that a run keeps, so that they are made once."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from aelle_core.analysis.prepare import Analysis, prepare_joint_analysis
from aelle_core.analysis.trained import Trained, joint_examples
from aelle_core.evaluation import NetworkExamples, protocol_of
from aelle_core.evaluation.tables.base import Entry, Table, make_tables
from aelle_core.evaluation.tables.free_runs import LOOP, NATS
from aelle_core.evaluation.tables.material import Material
from aelle_core.files.atomic import write_atomically
from aelle_core.files.places import Place
from aelle_core.foundation.child_processes import joblib_bound_to_this_process
from aelle_core.foundation.errors import UserError
from aelle_core.study import RunDirectory, Study

_FORMAT = "aelle-tables-3"
_LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch")
MAKERS_VERSION = 5
"""The version of what computes tables. Raise it when a change of code changes a number of a table: kept tables of
another version are then made again, and the tables that ship must be made again before the tests pass."""


def study_tables(run: RunDirectory, study: Study, analysis: Analysis, settings: dict[str, Any]) -> list[Table]:
    """Return every table of a finished study, the paper's and ours. `settings` are "splits", "seed" and "regress"
    ("log" or "loss"). The run keeps them. Raises UserError with fewer than 20 networks."""
    recipe = tables_recipe(study, analysis, settings)
    path = run.analysis / "tables.json"
    return kept_tables(path, recipe, lambda: tables_of(analysis, settings))


def tables_recipe(study: Study, analysis: Analysis, settings: dict[str, Any]) -> dict[str, Any]:
    """Return what a study's tables depend on besides the program: the networks, how they are split, and the
    settings."""
    shares = dataclasses.asdict(protocol_of(study.task))
    return {"identity": study.identity, "data": _digest(analysis.examples), "shares": shares, **settings}


def tables_of(analysis: Analysis, settings: dict[str, Any]) -> list[Table]:
    """Make every table of finished studies of one shape; see `study_tables`."""
    study = analysis.trained[0].study
    kinds = {
        kind: analysis.examples if kind == study.spectra[0] else joint_examples(analysis.trained, kind)[0]
        for kind in study.spectra
    }
    if analysis.across_systems and LOOP in kinds:
        kinds[NATS] = joint_examples(analysis.trained, LOOP, in_nats=True)[0]
    parameters = {"target": settings["regress"]}
    how = (settings["splits"], settings["seed"], parameters)
    return make_tables(Material(study.task, kinds, analysis.threshold, *how, jobs=-1))


def tables_of_studies(trained: Sequence[Trained], settings: dict[str, Any]) -> list[Table]:
    """Read finished studies of one shape and make every table; see `study_tables`."""
    return tables_of(prepare_joint_analysis(trained, splits=settings["splits"], seed=settings["seed"]), settings)


def _digest(examples: Mapping[int, NetworkExamples]) -> str:
    """SHA-256 of the networks' spectra and losses: a run that was made again may have others."""
    digest = hashlib.sha256()
    for epoch, present in sorted(examples.items()):
        digest.update(f"{epoch} {' '.join(present.networks)}".encode())
        for array in (present.spectra, present.loss, present.final_loss):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def kept_tables(path: Place, settings: dict[str, Any], make: Callable[[], list[Table]]) -> list[Table]:
    """Return the tables in the file `path` where they were made with these settings by what would make them now; else
    made, and kept there.

    Raises UserError naming the file when it is broken.
    """
    if path.exists():
        origin, tables = read_tables(path)
        if origin == _origin(settings):
            return tables
    with joblib_bound_to_this_process():
        tables = make()
    write_tables(path, settings, tables)
    return tables


def _origin(settings: dict[str, Any]) -> dict[str, Any]:
    libraries = {name: version(name) for name in _LIBRARIES}
    return {"format": _FORMAT, "makers": MAKERS_VERSION, "libraries": libraries, **settings}


def write_tables(path: Place, settings: dict[str, Any], tables: Sequence[Table]) -> None:
    """Write tables to a file, with their settings and the version that made them."""
    content = {"origin": _origin(settings), "tables": [dataclasses.asdict(table) for table in tables]}
    text = json.dumps(content, indent=1) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text))


def read_tables(path: Place) -> tuple[dict[str, Any], list[Table]]:
    """Return what the tables in a file were made with, and the tables. Raises UserError naming the file when it is
    broken."""
    try:
        content = json.loads(path.read_text())
        tables = [
            Table(**{**table, "entries": [Entry(**entry) for entry in table["entries"]]}) for table in content["tables"]
        ]
        return content["origin"], tables
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{str(path)!r} cannot be read ({error!r}): expected a run's tables; remove it") from error
