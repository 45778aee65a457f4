"""Which of a store's files count: every row once, beside compactions and after stopped ones."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from aelle_core.files.places import Place, each_of, files_below, unreachable
from aelle_core.store.fragments import MERGED, SUFFIX, is_file_name, is_name, opened, packs_of
from aelle_core.store.schema import StoreError

_DIRECTORY = re.compile(r"study=([A-Za-z0-9][A-Za-z0-9._-]*)/cell=([A-Za-z0-9][A-Za-z0-9._-]*)/epoch=(0|[1-9][0-9]*)")
_ATTEMPTS = 20
_Listing = list[tuple[str, list[str]]]
_Merged = tuple[frozenset[str], frozenset[str]]
"""What a merged file replaces, and the packs it holds."""
Result = TypeVar("Result")


@dataclass(frozen=True)
class Directory:
    """The files of one study, cell and epoch.

    `counted` are those whose rows count, each with the packs in it that an earlier one of them holds already: after two
    compactions at once, where nothing can lock them out. `replaced` are those that a merged file stands for.
    """

    path: Place
    study: str
    cell: str
    epoch: int
    counted: Mapping[str, frozenset[str]]
    replaced: frozenset[str]
    packs: frozenset[str]


class Contents:
    """What lies in a store. What a merged file holds never changes, and is read once."""

    def __init__(self, root: Place) -> None:
        self._root = root
        self._merged: dict[tuple[str, str], _Merged] = {}

    def directories(
        self,
        studies: Collection[str] | None = None,
        cells: Collection[str] | None = None,
        epochs: Collection[int] | None = None,
    ) -> list[Directory]:
        """Return the directories with files, in the order of study, cell and epoch; all, or the chosen ones.

        Raises StoreError on a file that does not belong there.
        """
        if any(not is_name(str(name)) for chosen in (studies, cells) for name in chosen or ()):
            named = [
                [name for name in chosen if is_name(str(name))] if chosen else chosen for chosen in (studies, cells)
            ]
            return [] if [] in named else self.directories(named[0], named[1], epochs)
        prefix = "".join(
            f"{key}={next(iter(chosen))}/" if chosen is not None and len(chosen) == 1 else "*/"
            for key, chosen in (("study", studies), ("cell", cells))
        )
        prefix = prefix[: prefix.find("*")] if "*" in prefix else prefix
        prefix = prefix.rstrip("/")

        def read() -> list[Directory]:
            result = []
            for relative, names in self._listing(prefix):
                study, cell, epoch = self._checked(relative, names)
                if (
                    (studies is None or study in studies)
                    and (cells is None or cell in cells)
                    and (epochs is None or epoch in epochs)
                ):
                    result.append(self._directory(relative, names, study, cell, epoch))
            return sorted(result, key=lambda directory: (directory.study, directory.cell, directory.epoch))

        return self.undisturbed(read)

    def directory(self, study: str, cell: str, epoch: int) -> Directory:
        """Return what one directory holds now."""
        relative = f"study={study}/cell={cell}/epoch={epoch}"

        def read() -> Directory:
            names = dict(self._listing(relative)).get(relative, [])
            self._checked(relative, names)
            return self._directory(relative, names, study, cell, epoch)

        return self.undisturbed(read)

    def holds(self, study: str, cell: str, epoch: int, pack: str) -> bool:
        """Return whether a directory holds a pack."""
        relative = f"study={study}/cell={cell}/epoch={epoch}"

        def read() -> bool:
            names = dict(self._listing(relative)).get(relative, [])
            merged = self._read(relative, names, study, cell, epoch)
            return f"{pack}{SUFFIX}" in names or any(pack in held for _, held in merged.values())

        return self.undisturbed(read)

    def undisturbed(self, read: Callable[[], Result]) -> Result:
        """Return the result of a read, which is repeated when a compaction beside it has removed a file."""
        for _ in range(_ATTEMPTS):
            try:
                return read()
            except FileNotFoundError:
                continue
        raise StoreError(f"{str(self._root)!r} changed {_ATTEMPTS} times while it was read: expected one compaction")

    def _listing(self, below: str) -> _Listing:
        """All files, as they were at some moment as far as a reader can tell.

        A merged file appears before those that it replaces vanish. So where a listing lacks one of these, its merged
        file was there before that listing ended, and one that starts afterwards shows it, or what replaced it.
        """
        path = self._root / below if below else self._root
        before = self._files_below(path)
        for _ in range(_ATTEMPTS):
            after = self._files_below(path)
            if _merged(before) == _merged(after):
                return [("/".join(filter(None, (below, relative))), names) for relative, names in before]
            before = after
        raise StoreError(f"{str(self._root)!r} changed {_ATTEMPTS} times while it was listed: expected one compaction")

    @staticmethod
    def _files_below(path: Place) -> _Listing:
        try:
            return files_below(path)
        except OSError as error:
            raise StoreError(str(unreachable(path, error))) from error

    def _checked(self, relative: str, names: Sequence[str]) -> tuple[str, str, int]:
        """Study, cell and epoch of a directory. Raises StoreError on what is no file of a store."""
        match = _DIRECTORY.fullmatch(relative)
        for name in names:
            if match is None or not is_file_name(name):
                where = self._root / relative / name if relative else self._root / name
                raise StoreError(
                    f"{str(where)!r} does not belong in a spectra store: expected only PACK{SUFFIX} and "
                    f"{MERGED}...{SUFFIX} in study=.../cell=.../epoch=NUMBER; move it elsewhere"
                )
        assert match is not None
        return match[1], match[2], int(match[3])

    def _directory(self, relative: str, names: Sequence[str], study: str, cell: str, epoch: int) -> Directory:
        merged = self._read(relative, names, study, cell, epoch)
        gone = frozenset().union(*(replaced for replaced, _ in merged.values()))
        packs: set[str] = set()
        counted = {}
        for name in names:
            if name in gone:
                continue
            own = merged[name][1] if name in merged else packs_of([name])
            counted[name] = own & packs
            packs |= own
        return Directory(self._root / relative, study, cell, epoch, counted, gone.intersection(names), frozenset(packs))

    def _read(self, relative: str, names: Sequence[str], study: str, cell: str, epoch: int) -> dict[str, _Merged]:
        """Return what the merged files of a directory hold."""
        path = self._root / relative
        merged = [name for name in names if name.startswith(MERGED)]
        unknown = [name for name in merged if (relative, name) not in self._merged]
        for file in each_of(path, lambda name: opened(path / name, study, cell, epoch), unknown):
            self._merged[relative, file.path.name] = (file.replaces, packs_of(file.replaces))
        return {name: self._merged[relative, name] for name in merged}


def _merged(listing: _Listing) -> set[tuple[str, str]]:
    return {(relative, name) for relative, names in listing for name in names if name.startswith(MERGED)}
