"""The package as people have it: a wheel, built from a copy of the sources and installed into a fresh environment."""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution, packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_SOURCES = ("aelle_core", "flows", "deployments", "pyproject.toml", "README.md", "LICENSE")


def build_wheel(repository: Path, directory: Path) -> Path:
    """Build the wheel from a copy of the sources, without any network."""
    source = directory / "source"
    source.mkdir()
    for name in _SOURCES:
        path = repository / name
        if path.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(path, source / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(path, source)
    command = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(directory), str(source)]
    subprocess.run([sys.executable, "-m", "pip", *command], check=True)
    return next(directory.glob("*.whl"))


class Installed:
    """An environment with the wheel in it, and of this one's packages those that `extras` of the wheel need."""

    def __init__(self, wheel: Path, directory: Path, extras: Iterable[str] = ()) -> None:
        venv.create(directory, with_pip=False, symlinks=True)
        self.python = directory / "bin" / "python"
        command = ["--python", str(self.python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
        subprocess.run([sys.executable, "-m", "pip", *command], check=True)
        self.packages = next(directory.glob("lib/python*/site-packages"))
        own = Distribution.at(next(self.packages.glob("aelle-*.dist-info")))
        owners = packages_distributions()
        for needed in _closure(own, set(extras)):
            self._link(needed, {name for name, names in owners.items() if len(set(names)) == 1})

    def _link(self, needed: Distribution, alone: set[str]) -> None:
        """Link what a distribution of this environment has installed: folders that are its `alone` as a whole."""
        for file in needed.files or ():
            if ".." in file.parts or "__pycache__" in file.parts:
                continue
            parts = file.parts[:1] if file.parts[0] in alone else file.parts
            origin, target = Path(str(needed.locate_file(Path(*parts)))), self.packages.joinpath(*parts)
            if not target.exists() and origin.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(origin)

    def run(self, *arguments: str, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run `aelle`, as a shell finds it, from a folder, without what leads to the sources."""
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        command = [str(self.python.parent / "aelle"), *arguments]
        return subprocess.run(
            command, cwd=cwd, env=clean | environment, capture_output=True, text=True, check=False, timeout=1500
        )


def _closure(own: Distribution, extras: set[str]) -> list[Distribution]:
    """The distributions that one needs with these extras, and that those need."""
    closure: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(own, extra) for extra in ("", *extras)]
    while waiting:
        held, extra = waiting.pop()
        for text in held.requires or ():
            needed = Requirement(text)
            if needed.marker is not None and not needed.marker.evaluate({"extra": extra}):
                continue
            name = canonicalize_name(needed.name)
            closure[name] = distribution(name)
            for more in ("", *needed.extras):
                if (name, more) not in seen:
                    seen.add((name, more))
                    waiting.append((closure[name], more))
    return list(closure.values())
