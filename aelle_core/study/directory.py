"""Where a study's results lie."""

import json
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from aelle_core.errors import UserError
from aelle_core.files import write_atomically
from aelle_core.store import SpectraStore
from aelle_core.study.model import Study
from aelle_core.study.quarantine import Quarantine

_FORMAT = "aelle-run-1"
_PACKAGES = ("aelle", "torch", "numpy", "scipy", "scikit-learn", "pyarrow", "prefect", "ray")


class RunDirectory:
    """A directory with one study's settings, spectra, checkpoints, analysis and report.

    study.json        settings, identity, versions, splits
    spectra/          the Arrow dataset
    checkpoints/      a safetensors file for each pack: weights and the optimiser's state
    quarantine/       a record of each pack that failed in every attempt
    analysis/         the AeLLE model and the metrics
    report.html, figures/
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).expanduser()
        self.settings = self.path / "study.json"
        self.checkpoints = self.path / "checkpoints"
        self.analysis = self.path / "analysis"
        self.report = self.path / "report.html"
        self.figures = self.path / "figures"

    def __str__(self) -> str:
        return str(self.path)

    @property
    def store(self) -> SpectraStore:
        """The spectra of this run."""
        return SpectraStore(self.path / "spectra")

    @property
    def quarantine(self) -> Quarantine:
        """The packs that this run was completed without."""
        return Quarantine(self.path / "quarantine")

    def checkpoint(self, pack: str) -> Path:
        """Where a pack's checkpoint lies."""
        return self.checkpoints / f"{pack}.safetensors"

    def check(self, study: Study) -> None:
        """Raise UserError where `prepare` is bound to fail, without writing anything that stays."""
        if self.settings.exists():
            held = self.read_settings()
            if held["identity"] != study.identity:
                raise UserError(
                    f"{str(self)!r} holds the study {held['identity']}: expected {study.identity}; "
                    "name another output directory"
                )
        elif self.path.exists() and not self.path.is_dir():
            raise UserError(f"{str(self)!r} is a file: expected a directory for the results")
        elif self.path.exists() and any(self.path.iterdir()):
            raise UserError(f"{str(self)!r} holds other files and no study.json: expected an empty or new directory")
        existing = next(parent for parent in (self.path, *self.path.parents) if parent.exists())
        probe = existing / "_aelle-write-test"
        try:
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise UserError(f"{str(self)!r} cannot be written ({error}): expected a writable directory") from error

    def prepare(self, study: Study, statement: dict[str, Any]) -> None:
        """Check, make the directory and write its settings, unless it holds this study already."""
        self.check(study)
        if self.settings.exists():
            return
        content = {
            "format": _FORMAT,
            "identity": study.identity,
            "study": study.to_dict(),
            "data": statement,
            "versions": versions(),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        text = json.dumps(content, indent=2)
        write_atomically(self.settings, lambda temporary: temporary.write_text(text))

    def read_settings(self) -> dict[str, Any]:
        """The content of study.json. Raises UserError naming the file when it is missing or broken."""
        try:
            content = json.loads(self.settings.read_text())
        except FileNotFoundError as error:
            raise UserError(f"no study in {str(self)!r}: expected a directory with a study.json") from error
        except (OSError, ValueError) as error:
            raise UserError(f"{str(self.settings)!r} cannot be read ({error}): expected a study's settings") from error
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise UserError(f"{str(self.settings)!r} is not of this version: expected format {_FORMAT!r}")
        return content

    def study(self) -> Study:
        """The study whose results lie here."""
        return Study.from_dict(self.read_settings()["study"])


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    found = {"python": platform.python_version(), "platform": platform.platform(terse=True)}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
