"""Tasks whose data are one's own recordings: found by address, and kept once with a run."""

from functools import cached_property
from typing import ClassVar, Self

from aelle_core.files.places import Place, unreachable
from aelle_core.foundation.errors import UserError
from aelle_core.tasks.arrays.columns import Columns
from aelle_core.tasks.arrays.reading import read_recordings
from aelle_core.tasks.arrays.recordings import Recordings, write_once
from aelle_core.tasks.base import Task

_KEPT = "data.npz"


def check_texts(task: str, **given: object) -> None:
    """Raise UserError for an option of the task that is given and is no text, or an empty one."""
    for label, text in given.items():
        if text is not None and (not isinstance(text, str) or not text):
            raise UserError(f"{task}: {label}={text!r}: expected a text")


class OwnData(Task):
    """A task with an option `data`, an address, and `_columns`, which say what the columns of tables are."""

    data_option: ClassVar[str] = "data"
    data: str | None
    _columns: Columns
    _kept: Place | None = None

    @cached_property
    def recordings(self) -> Recordings:
        """The sequences as they were given. Raises UserError where they cannot be had."""
        if self._kept is not None:
            return read_recordings(str(self._kept), Columns())
        if not self.data:
            raise UserError(f"{self.name}: no data: expected a file or directory, as --data or task option data=")
        return read_recordings(self.data, self._columns)

    def keep_with(self, run: Place) -> None:
        if not self.data:
            return
        path, content = run / _KEPT, self.recordings.content()
        try:
            if path.exists() and path.read_bytes() != content:
                raise UserError(
                    f"{self.name}: {self.recordings.source} has changed since {str(run)!r} was begun: expected the "
                    "same data; name another output directory"
                )
            write_once(path, content)
        except OSError as error:
            raise unreachable(path, error) from error

    def found_with(self, run: Place) -> Self:
        if self.data and (path := run / _KEPT).exists():
            self._kept = path
        return self
