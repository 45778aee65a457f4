"""What a file of the store says it is, in its Parquet metadata, held against its place and its rows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from aelle_core.files.places import Place
from aelle_core.store.digests import ColumnDigest
from aelle_core.store.schema import StoreError

SAYS = b"aelle_fragment"
CONTENT = b"aelle_content"
REPLACES = b"aelle_replaces"
REMEDY = "remove it and run the study's command again, which trains what is missing"


@dataclass(frozen=True)
class Identity:
    """What a file is: a pack of a study's cell at an epoch, or, where `pack` is None, many merged."""

    study: str
    cell: str
    epoch: int
    pack: str | None

    def __str__(self) -> str:
        what = "merged packs" if self.pack is None else f"pack {self.pack}"
        return f"{what} of study {self.study}, cell {self.cell}, epoch {self.epoch}"


@dataclass(frozen=True)
class Statement:
    """A file's identity, how many rows it has, and a digest for each of its columns. Older files say nothing."""

    identity: Identity
    rows: int
    digests: Mapping[str, str]

    def check_identity(self, path: Place, expected: Identity) -> None:
        """Raise StoreError where the file lies in another one's place."""
        if self.identity != expected:
            raise StoreError(f"{str(path)!r} holds {self.identity}: expected {expected} there; {REMEDY}")


def fragment_metadata(table: pa.Table, identity: Identity) -> dict[bytes, bytes]:
    """Return the schema metadata of a fragment with these rows."""
    return {**(table.schema.metadata or {}), SAYS: _json(_of(identity) | content(table.num_rows, digests_of(table)))}


def merged_metadata(identity: Identity, replaced: Sequence[str]) -> dict[bytes, bytes]:
    """Return what a merged file says before its rows are known; `content` follows under CONTENT."""
    return {SAYS: _json(_of(identity)), REPLACES: json.dumps(sorted(replaced)).encode()}


def content(rows: int, digests: Sequence[str]) -> dict[str, object]:
    """Return what a file says of its rows."""
    return {"rows": rows, "columns": " ".join(digests)}


def digests_of(table: pa.Table) -> list[str]:
    """Return a digest for each column of a table."""
    statements = []
    for column in table.columns:
        digest = ColumnDigest()
        digest.add(column)
        statements.append(digest.text())
    return statements


def stated(path: Place, names: Sequence[str], metadata: Mapping[bytes, bytes]) -> Statement | None:
    """Read what a file with columns of these names says; None where it says nothing. Raises StoreError naming it when
    what it says has another form."""
    if SAYS not in metadata:
        return None
    try:
        said = json.loads(metadata[SAYS]) | json.loads(metadata.get(CONTENT, b"{}"))
        identity = Identity(str(said["study"]), str(said["cell"]), int(said["epoch"]), said["pack"])
        digests = dict(zip(names, said["columns"].split(), strict=True))
        return Statement(identity, int(said["rows"]), digests)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{str(path)!r} does not say what it holds ({error!r}): {REMEDY}") from error


def replaced_names(path: Place, metadata: Mapping[bytes, bytes]) -> frozenset[str]:
    """Return the files that a merged file says it stands for. Raises StoreError naming it when that is no list of
    names."""
    try:
        names = json.loads(metadata[REPLACES])
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise ValueError(f"{names!r}")
    except (ValueError, KeyError) as error:
        what = f"{type(error).__name__}: {error}"
        raise StoreError(f"{str(path)!r} does not say which files it replaces ({what}): {REMEDY}") from error
    return frozenset(names)


def _of(identity: Identity) -> dict[str, object]:
    return {"study": identity.study, "cell": identity.cell, "epoch": identity.epoch, "pack": identity.pack}


def _json(said: Mapping[str, object]) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode()
