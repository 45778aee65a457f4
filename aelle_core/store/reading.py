"""Rows of a directory's files, held against what the files say and against the columns' definitions."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pds

from aelle_core.files.places import each_of
from aelle_core.foundation.counting import counted
from aelle_core.store.definitions import first_wrong
from aelle_core.store.digests import joined, range_digests
from aelle_core.store.fragments import CHECKED, MERGED, SUFFIX, Opened, broken, opened, packs_of, read_whole
from aelle_core.store.listing import Directory
from aelle_core.store.schema import FILE_SCHEMA, StoreError
from aelle_core.store.statement import REMEDY

_ALWAYS = ("network", "pack")


def checked_rows(directory: Directory, files: Mapping[str, frozenset[str]], columns: Sequence[str]) -> pa.Table:
    """Read some columns of some files of a directory, `network` and `pack` always among them, in one piece: thousands
    of small ones take several times the memory.

    `files` gives for each name the packs in it that another file holds as well, and whose rows are left out. Raises
    StoreError naming the file when one is broken, lies in another's place, does not hold what it says, or has values
    outside of their definitions; FileNotFoundError when one has vanished.
    """
    opened_files = each_of(
        directory.path,
        lambda name: opened(directory.path / name, directory.study, directory.cell, directory.epoch),
        list(files),
    )
    names = [name for name in FILE_SCHEMA.names if name in {*columns, *_ALWAYS}]
    table = _scanned(directory, opened_files, names)
    lengths = [file.rows for file in opened_files]
    _check_digests(table, opened_files, lengths)
    _check_packs(table, opened_files, lengths)
    if wrong := first_wrong(table):
        path = opened_files[int(np.searchsorted(np.cumsum(lengths), wrong.row, side="right"))].path
        raise StoreError(f"{str(path)!r}: {wrong.sentence}; {REMEDY}")
    if any(files.values()):
        doubled = pa.chunked_array([
            pa.concat_arrays([
                pc.is_in(joined(table["pack"]).slice(start, length), pa.array(sorted(left_out), pa.string()))
                for start, length, left_out in zip(_starts(lengths), lengths, files.values(), strict=True)
            ])
        ])  # fmt: skip
        table = table.filter(pc.invert(doubled))
    return table


def check_each_once(directory: Directory, networks: pa.ChunkedArray) -> None:
    """Raise StoreError when the rows of a directory name a network twice."""
    if pc.count_distinct(networks).as_py() == len(networks):
        return
    counts = networks.value_counts()
    name = counts.field("values")[pc.index(counts.field("counts"), pc.max(counts.field("counts"))).as_py()].as_py()
    files = [
        file
        for file, left_out in directory.counted.items()
        if name in checked_rows(directory, {file: left_out}, [])["network"].to_pylist()
    ]
    raise StoreError(
        f"{str(directory.path)!r} holds network {name!r} twice, in {' and '.join(files)}: expected each network once "
        f"in an epoch; remove the file that is a copy"
    )


def _starts(lengths: Sequence[int]) -> list[int]:
    return [0, *np.cumsum(lengths).tolist()][: len(lengths)]


def _scanned(directory: Directory, opened_files: Sequence[Opened], names: Sequence[str]) -> pa.Table:
    schema = pa.schema([FILE_SCHEMA.field(name) for name in names], metadata=FILE_SCHEMA.metadata)
    if not opened_files:
        return schema.empty_table()
    filesystem = opened_files[0].fragment.filesystem
    dataset = pds.FileSystemDataset([file.fragment for file in opened_files], FILE_SCHEMA, CHECKED, filesystem)
    try:
        return dataset.to_table(columns=list(names)).cast(schema).combine_chunks()
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        for file in opened_files:  # Arrow does not say which file it was
            read_whole(file.path)
        raise broken(directory.path, error) from error


def _check_digests(table: pa.Table, opened_files: Sequence[Opened], lengths: Sequence[int]) -> None:
    if table.num_rows != sum(lengths):
        raise StoreError(f"{str(opened_files[0].path.parent)!r} changed while it was read: expected complete files")
    if all(file.statement is None for file in opened_files):
        return
    for name in table.column_names:
        digests = range_digests(joined(table[name]), lengths)
        for file, digest in zip(opened_files, digests, strict=True):
            if file.statement is not None and file.statement.digests.get(name, digest) != digest:
                raise StoreError(f"{str(file.path)!r} holds another {name} than was written: {REMEDY}")


def _check_packs(table: pa.Table, opened_files: Sequence[Opened], lengths: Sequence[int]) -> None:
    """Raise StoreError unless a fragment holds rows of its pack alone, and a merged file those of its packs."""
    held = joined(table["pack"]).dictionary_encode()
    names = held.dictionary.to_pylist()
    codes = held.indices.to_numpy()
    code_of = {name: code for code, name in enumerate(names)}
    for file, start, length in zip(opened_files, _starts(lengths), lengths, strict=True):
        own = codes[start : start + length]
        if file.path.name.startswith(MERGED):
            present = frozenset(names[code] for code in np.unique(own))
            if present != (said := packs_of(file.replaces)):
                odd = sorted(present ^ said)
                raise StoreError(
                    f"{str(file.path)!r} holds {counted(len(present), 'pack')}, not the {len(said)} that it replaces "
                    f"(differing in {odd[0]}): {REMEDY}"
                )
            continue
        pack = file.path.name.removesuffix(SUFFIX)
        if not length or (own != code_of.get(pack, -1)).any():
            other = next((names[code] for code in own if names[code] != pack), "no pack")
            raise StoreError(f"{str(file.path)!r} holds rows of {other}: expected those of {pack}; {REMEDY}")
