"""What the owner of the server decides, and no form can change: where results and data lie, and which Ray is used."""

from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from aelle_core.files.places import check_is_directory, place, resolved
from aelle_core.foundation.errors import UserError
from aelle_core.study import check_study_name


class ServedSettings(BaseSettings):
    """Read from the environment: AELLE_RUNS, AELLE_DATA, AELLE_RAY_ADDRESS, AELLE_TIMEZONE."""

    model_config = SettingsConfigDict(env_prefix="AELLE_", env_ignore_empty=True)

    runs: str = Field("runs", description="Directory or address (s3://bucket/path) below which all results lie")
    data: Path | None = Field(
        None, description="Directory below which the data of tasks lie; none: only what is bundled"
    )
    ray_address: str | None = Field(
        None, description="Address of the Ray cluster; none starts a local one for each run"
    )
    timezone: str = Field("UTC", description="Time zone whose dates name the nights")

    def check(self) -> None:
        """Raise UserError when a directory or the time zone cannot be."""
        check_timezone(self.timezone)
        if self.data is not None:
            check_is_directory(self.data.expanduser(), "the directory below which data lie", "data ")
        if isinstance(root := place(self.runs), Path) and root.exists() and not root.is_dir():
            raise UserError(f"runs {self.runs!r} is a file: expected a directory for results")

    def absolute(self) -> dict[str, str]:
        """Return the directories, wherever the process is that reads them."""
        return {"runs": resolved(self.runs)} | (
            {} if self.data is None else {"data": str(self.data.expanduser().resolve())}
        )

    def results(self, name: str) -> str:
        """Return the directory or address of the results called `name`.

        Raises UserError when the name is not one of letters, digits, - and _, or leads out of the root.
        """
        check_study_name("results", name)
        root = place(self.runs)
        return str(_below(root.resolve(), name, "results") if isinstance(root, Path) else root / name)

    def data_place(self, name: str) -> str:
        """Return the file or directory `name` below the data root.

        Raises UserError when there is no root, when `name` is absolute, holds .. or leads out of the root through a
        link, and when nothing is there.
        """
        if self.data is None:
            raise UserError(
                f"data={name!r}: this server has no directory of data (AELLE_DATA); expected an empty field"
            )
        root = self.data.expanduser().resolve()
        relative = Path(name)
        if relative.is_absolute() or ".." in relative.parts or "\0" in name:
            raise UserError(f"data={name!r}: expected the name of a file or directory below the server's data")
        path = _below(root, name, "data")
        if not path.exists():
            raise UserError(f"data={name!r}: there is none in the server's data; expected a file or directory")
        return str(path)


def _below(root: Path, name: str, label: str) -> Path:
    """Return the place that `name` leads to from `root`, links followed. Raises UserError where that is elsewhere."""
    path = (root / name).resolve()
    if not path.is_relative_to(root) or path == root:
        raise UserError(f"{label}={name!r} leads elsewhere: expected a name below the server's directory of {label}")
    return path


def check_timezone(name: str) -> ZoneInfo:
    """Return the time zone of that name. Raises UserError when there is none."""
    if name not in _timezones():
        raise UserError(f"timezone={name!r}: expected a name such as UTC or Europe/Berlin")
    return ZoneInfo(name)


@cache
def _timezones() -> set[str]:
    return available_timezones()
