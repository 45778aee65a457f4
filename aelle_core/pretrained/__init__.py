"""Models and spectra that come with the package: nothing is downloaded, and every file is checked by its SHA-256."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aelle_core.foundation.errors import UserError, unknown_name

if TYPE_CHECKING:
    import pyarrow as pa

MANIFEST = "manifest.json"


@cache
def manifest() -> Mapping[str, Mapping[str, Any]]:
    """Return what is there, by name: its files with their SHA-256, what it was made from and how well it does."""
    return json.loads(files(__name__).joinpath(MANIFEST).read_text())


@contextmanager
def shipped_file(name: str, part: str) -> Iterator[Path]:
    """Yield the file of `name`, its "model" or its "spectra".

    Raises UserError, listing the known names, when there is none of that name, and when the file is missing or is not
    the one that the manifest was made with.
    """
    known = manifest()
    if name not in known:
        raise unknown_name("pretrained AeLLE", name, known)
    entry = known[name][part]
    with as_file(files(__name__).joinpath(entry["file"])) as path:
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise UserError(f"{str(path)!r} cannot be read ({error}): expected a file of this package") from error
        if digest != entry["sha256"]:
            raise UserError(
                f"{str(path)!r} has SHA-256 {digest}: expected {entry['sha256']}; install the package again"
            )
        yield path


def load_spectra(name: str) -> "pa.Table":
    """Return the spectra, losses and hyperparameters of the study that the model `name` was fitted to, at every epoch
    that was stored: the columns of SpectraStore.read. Raises UserError where `shipped_file` does."""
    import pyarrow.parquet as pq

    with shipped_file(name, "spectra") as path:
        return pq.read_table(path)
