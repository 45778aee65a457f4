"""The studies that come with the package, as an analysis reads them, and their tables."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from aelle_core.analysis.kept_tables import read_tables, tables_of_studies
from aelle_core.analysis.trained import Trained
from aelle_core.evaluation import protocol_of
from aelle_core.evaluation.tables.base import Table
from aelle_core.foundation.errors import unknown_name
from aelle_core.pretrained import load_spectra, manifest, shipped_file
from aelle_core.study import Study


@dataclass(frozen=True)
class ShippedSpectra:
    """The spectra dataset of that name, from which an analysis reads."""

    name: str

    def read(self, *, study: str) -> pa.Table:
        """Return all rows of the study of that identity."""
        rows = load_spectra(self.name)
        return rows.filter(pc.equal(rows["study"], study))


def shipped_name(given: str) -> str | None:
    """Return the name under which a study ships: its own, or that of the preset that it was made by; None where none
    does."""
    if given in manifest():
        return given
    return next((name for name, entry in manifest().items() if entry["studies"][0]["name"] == given), None)


def shipped_studies(name: str) -> list[Trained]:
    """Return the studies of one shape that make up a dataset. Raises UserError, listing the known names, for any
    other."""
    if name not in manifest():
        raise unknown_name("shipped study", name, manifest())
    spectra = ShippedSpectra(name)
    return [Trained(spectra, Study.from_dict(settings, planned=False)) for settings in manifest()[name]["studies"]]


def shipped_tables(name: str, settings: dict[str, Any], *, anew: bool = False) -> list[Table]:
    """Return the tables of a shipped study: those that ship with it where they were made with these settings ("splits",
    "seed" and "regress"), else, and `anew`, made from its spectra. Raises UserError where the files have been
    changed."""
    trained = shipped_studies(name)
    wanted = {**settings, "shares": dataclasses.asdict(protocol_of(trained[0].study.task))}
    if not anew:
        with shipped_file(name, "tables") as path:
            origin, tables = read_tables(path)
        if {key: origin.get(key) for key in wanted} == wanted:
            return tables
    return tables_of_studies(trained, settings)
