"""Registries: classes by name, found in a package, in other installed packages and in plug-ins.

One new file is a new entry, and no other file is edited. Another package adds entries through entry points of the
group `aelle.cells` (`aelle.tasks`, `aelle.classifiers`, ...), each of them a module that registers them, or the class:

    [project.entry-points."aelle.cells"]
    leaky = "mypackage.cells:Leaky"
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from aelle_core.foundation.errors import UserError, unknown_name
from aelle_core.foundation.plugins import load, load_entry_point

T = TypeVar("T")


class Registry(Mapping[str, type[T]], Generic[T]):
    """Classes by name. `register` is the decorator that adds one; a lookup first imports all that may hold some."""

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        word = kind.split()[0]
        self.group = f"aelle.{word}{'es' if word.endswith('s') else 's'}"
        """The entry points of other packages that are asked."""
        self._package = package
        self._entries: dict[str, type[T]] = {}
        self._complete = False

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Return a decorator that enters a class under `name`. Raises ValueError when another class has the name."""

        def enter(entry: type[T]) -> type[T]:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice: {self._entries[name]} and {entry}")
            self._entries[name] = entry
            entry.name = name  # type: ignore[attr-defined]
            return entry

        return enter

    def _load(self) -> dict[str, type[T]]:
        if not self._complete:
            package = importlib.import_module(self._package)
            for module in pkgutil.iter_modules(package.__path__, prefix=f"{self._package}."):
                importlib.import_module(module.name)
            self._complete = True  # what is imported now may look something up
            try:
                self._load_entry_points()
            except BaseException:
                self._complete = False
                raise
        load()
        return self._entries

    def _load_entry_points(self) -> None:
        for point in entry_points(group=self.group):
            entry = load_entry_point(point)
            if isinstance(entry, type) and entry not in self._entries.values():
                if point.name in self._entries:
                    raise UserError(
                        f"{self.kind} {point.name!r} of {point.value} is there already: {self._entries[point.name]}; "
                        "expected another name"
                    )
                self.register(point.name)(entry)

    def __getitem__(self, name: str) -> type[T]:
        entries = self._load()
        if not isinstance(name, str) or name not in entries:
            raise unknown_name(self.kind, name, entries)
        return entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._load()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._load()))

    def __len__(self) -> int:
        return len(self._load())
