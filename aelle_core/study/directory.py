"""Where a study's results lie."""

import errno
import json
import os
import platform
import secrets
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aelle_core.files.atomic import kind_of, write_atomically
from aelle_core.files.object_path import ObjectPath
from aelle_core.files.places import Place, place, unreachable
from aelle_core.foundation.errors import UserError, first_line
from aelle_core.foundation.plugins import named
from aelle_core.store.dataset import SpectraStore, StoreError
from aelle_core.study.model import Study
from aelle_core.study.quarantine import Quarantine
from aelle_core.tasks import tasks

if TYPE_CHECKING:
    from os import PathLike

_FORMAT = "aelle-run-1"
_SETTINGS = {"identity": str, "study": dict, "data": dict, "versions": dict}
"""What study.json holds at least, and of which type."""
_PACKAGES = ("aelle", "torch", "numpy", "scipy", "scikit-learn", "pyarrow", "prefect", "ray")


class RunDirectory:
    """A directory, or an address such as s3://bucket/prefix, with one study's settings, spectra, checkpoints, analysis
    and report.

    study.json        settings, identity, versions, splits
    spectra/          the Arrow dataset
    checkpoints/      a safetensors file for each pack: weights and the optimiser's state
    quarantine/       a record of each pack that failed in every attempt
    analysis/         the AeLLE model and the metrics
    report.html, figures/

    Raises UserError on an address of another form or with credentials in it; see aelle_core.files.places.place.
    """

    def __init__(self, path: "str | PathLike[str] | ObjectPath") -> None:
        self.path: Place = place(path)
        self.settings = self.path / "study.json"
        self._spectra = self.path / "spectra"
        self.checkpoints = self.path / "checkpoints"
        self.analysis = self.path / "analysis"
        self.report = self.path / "report.html"
        self.figures = self.path / "figures"

    def __str__(self) -> str:
        return str(self.path)

    @property
    def store(self) -> SpectraStore:
        """The spectra of this run. Raises StoreError when the run is not there: it was not prepared, or is lost."""
        self.check_is_there()
        return SpectraStore(self._spectra, create=False)

    @property
    def quarantine(self) -> Quarantine:
        """The packs that this run was completed without."""
        return Quarantine(self.path / "quarantine")

    def check_is_there(self) -> None:
        """Raise StoreError when the directory has no study.json (any more): nothing is to be written into it then."""
        if not self.settings.exists():
            raise StoreError(f"no study in {str(self)!r}: expected a directory with a study.json; was it removed?")

    def checkpoint(self, pack: str) -> Place:
        """Return the path of a pack's checkpoint."""
        return self.checkpoints / f"{pack}.safetensors"

    def check(self, study: Study, *, write: bool = True) -> None:
        """Raise UserError where `prepare` is bound to fail, without writing anything that stays; nothing at all is
        written where `write` is False."""
        try:
            self._check_content(study)
            self._check_writable(write)
        except OSError as error:
            raise unreachable(self.path, error) from error

    def _check_content(self, study: Study) -> None:
        if self.settings.exists():
            settings = self.read_settings()
            if settings["identity"] != study.identity:
                raise UserError(
                    f"{str(self)!r} holds the study {settings['identity']}: expected {study.identity}; "
                    "name another output directory"
                )
        elif self.path.exists() and not self.path.is_dir():
            raise UserError(f"{str(self)!r} is {kind_of(self.path)}: expected a directory for the results")
        elif self.path.exists() and any(not entry.name.startswith("_") for entry in self.path.iterdir()):
            raise UserError(f"{str(self)!r} holds other files and no study.json: expected an empty or new directory")

    def _check_writable(self, write: bool) -> None:
        existing = self.path
        if isinstance(existing, Path):
            while not existing.exists():
                existing = existing.parent
            if not existing.is_dir():
                raise UserError(f"{str(existing)!r} is {kind_of(existing)}: expected a directory for the results")
            if not os.access(existing, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES).lower(), str(existing))
        if not write:
            return
        if isinstance(existing, Path):
            # Exclusively, under a name that nobody knows before: what another user has put there is never opened.
            handle, name = tempfile.mkstemp(prefix="_aelle-write-test.", dir=existing)
            os.close(handle)
            Path(name).unlink(missing_ok=True)
            return
        probe = existing / f"_aelle-write-test.{secrets.token_hex(8)}"
        probe.write_bytes(b"")
        probe.unlink(missing_ok=True)

    def prepare(
        self,
        study: Study,
        statement: dict[str, Any],
        *,
        joint: Sequence[str] = (),
        loss_name: str | None = None,
    ) -> None:
        """Check, make the directory with its settings, unless it holds this study already, and its store.

        `joint` are the places of the runs that it stands for, if it does;
        `loss_name` is by default what the statement says, or the task.
        """
        self.check(study)
        if not self.settings.exists():
            self._write_settings(study, statement, joint, loss_name or _loss_name(study, statement))
        SpectraStore(self._spectra)

    def _write_settings(self, study: Study, statement: dict[str, Any], joint: Sequence[str], loss_name: str) -> None:
        content: dict[str, Any] = {
            "format": _FORMAT,
            "identity": study.identity,
            "study": study.to_dict(),
            "data": statement,
            "loss_name": loss_name,
            "versions": versions(),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        content |= {"joint": list(joint)} if joint else {}
        content |= {"plugins": [plugin.record() for plugin in named()]} if named() else {}
        text = json.dumps(content, indent=2)
        write_atomically(self.settings, lambda temporary: temporary.write_text(text))

    def read_settings(self) -> dict[str, Any]:
        """Return the content of study.json. Raises UserError naming the file when it is missing or broken."""
        try:
            content = json.loads(self.settings.read_text())
        except FileNotFoundError as error:
            raise UserError(f"no study in {str(self)!r}: expected a directory with a study.json") from error
        except OSError as error:
            raise unreachable(self.settings, error) from error
        except (ValueError, RecursionError) as error:
            raise UserError(f"{str(self.settings)!r} cannot be read ({error}): expected a study's settings") from error
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise UserError(f"{str(self.settings)!r} is not of this version: expected format {_FORMAT!r}")
        for name, kind in _SETTINGS.items():
            if not isinstance(content.get(name), kind):
                given = repr(content[name])[:60] if name in content else "nothing"
                raise UserError(
                    f"{str(self.settings)!r} has {given} as {name}: expected what `aelle study` wrote there"
                )
        return content

    def study(self) -> Study:
        """Return the study whose results lie here. Its cells and its task may belong to plug-ins that are not here."""
        settings = self.read_settings()["study"]
        try:
            return Study.from_dict(settings, planned=False)
        except (UserError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise UserError(
                f"{str(self.settings)!r} holds no study ({first_line(error)}): expected its settings"
            ) from error

    def loss_name(self) -> str:
        """Return what the losses are, as an axis is labelled: as the run or its data say, or its task."""
        settings = self.read_settings()
        named = settings.get("loss_name") or settings["data"].get("loss_name")
        return str(named or tasks[settings["study"]["task"]].loss_name)


def _loss_name(study: Study, statement: dict[str, Any]) -> str:
    """Return what the study's networks are judged by, as an axis is labelled: its goal, or the loss."""
    if study.goal != "loss":
        from aelle_core.evaluation.free_runs import measures

        kind = measures[study.goal]
        return f"1 / (1 + {kind.description})" if kind.higher else kind.description
    return str(statement.get("loss_name") or tasks[study.task].loss_name)


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    versions = {"python": platform.python_version(), "platform": platform.platform(terse=True)}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
