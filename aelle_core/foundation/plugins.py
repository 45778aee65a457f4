"""Plug-ins: modules of other packages, or scripts, that register cells, tasks, classifiers, presets and more.

Those of installed packages are found through entry points (see aelle_core.foundation.registry). Others are named by
`--plugin` on the command line, or in AELLE_PLUGINS, separated by commas: the name of a module, or a script's path. What
a run directory says never decides which code is loaded.
"""

import hashlib
import os
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from aelle_core.foundation.errors import UserError, first_line

VARIABLE = "AELLE_PLUGINS"
_lock = threading.RLock()
_adopted: "list[Plugin]" = []
_outcomes: dict[str, UserError | None] = {}
_settled: tuple[str, int] = ("", 0)
"""What was named when everything had been loaded."""


@dataclass(frozen=True)
class Plugin:
    """A module by its name, or a script by its path and text, so that machines without the file can run it."""

    name: str
    source: str | None = None

    def record(self) -> dict[str, str]:
        """Return what a run's settings say about this plug-in: its name, with the text's hash or the version."""
        if self.source is not None:
            return {"name": self.name, "sha256": hashlib.sha256(self.source.encode()).hexdigest()}
        packages = packages_distributions().get(self.name.partition(".")[0], [])
        return {"name": self.name} | ({"version": f"{packages[0]} {version(packages[0])}"} if packages else {})


def use(names: Iterable[str] = ()) -> None:
    """Name plug-ins for this process and those that it starts, beside those of AELLE_PLUGINS.

    Scripts are named by their absolute paths from then on. Raises UserError on a script that is not there.
    """
    every = list(dict.fromkeys(_resolved(name) for name in (*_of_environment(), *names)))
    if every:
        os.environ[VARIABLE] = ",".join(every)


def adopt(plugins: Iterable[Plugin]) -> None:
    """Use the plug-ins of another process, whose scripts come with their text, and load them now.

    Raises UserError where one cannot be loaded here.
    """
    with _lock:
        _adopted.extend(plugin for plugin in plugins if plugin not in _adopted)
    load()


def named() -> tuple[Plugin, ...]:
    """Return the plug-ins that this process was given by name. Raises UserError on a script that cannot be read."""
    every = {plugin.name: plugin for plugin in _adopted}
    for name in _of_environment():
        target = _resolved(name, every)
        if target not in every:
            every[target] = _read(target)
    return tuple(every.values())


def load() -> None:
    """Import every plug-in that was named, once. Raises UserError, one sentence, where one cannot be loaded."""
    global _settled
    asked = (os.environ.get(VARIABLE, ""), len(_adopted))
    if asked == _settled:
        return
    with _lock:
        for plugin in named():
            if plugin.name not in _outcomes:
                _outcomes[plugin.name] = None  # a plug-in may look something up while it is imported
                _outcomes[plugin.name] = _failure(plugin)
            if (error := _outcomes[plugin.name]) is not None:
                raise error
        _settled = asked


def load_entry_point(point: EntryPoint) -> Any:
    """Return what an installed package offers. Raises UserError, naming the package, where it cannot be loaded."""
    try:
        return point.load()
    except Exception as error:
        package = f"{point.dist.name} {point.dist.version}" if point.dist else "an installed package"
        raise UserError(
            f"plug-in {point.name!r} of {package} cannot be loaded ({_said(error)}): expected {point.value} to be "
            "importable; mend or uninstall it"
        ) from error


def _failure(plugin: Plugin) -> UserError | None:
    try:
        if plugin.source is None:
            import_module(plugin.name)
        else:
            _run_script(plugin.name, plugin.source)
    except Exception as error:
        failure = UserError(
            f"plug-in {plugin.name!r} cannot be loaded ({_said(error)}): expected a module that can be imported here, "
            "or the path of a script"
        )
        failure.__cause__ = error
        return failure
    return None


def _run_script(path: str, source: str) -> None:
    name = Path(path).stem
    if name in sys.modules:
        raise UserError(f"a module {name!r} is loaded already; rename the script")
    module = ModuleType(name)
    module.__file__ = path
    sys.modules[name] = module
    try:
        exec(compile(source, path, "exec"), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise


def _of_environment() -> list[str]:
    return [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]


def _resolved(name: str, known: Iterable[str] = ()) -> str:
    """Return a script's absolute path, or a module's name. `known` scripts need not lie on this machine."""
    if name in known:
        return name
    path = Path(name).expanduser()
    if path.suffix != ".py":
        script = path.with_name(f"{path.name}.py")
        if os.sep not in name and (not script.is_file() or find_spec(name.partition(".")[0]) is not None):
            return name
        path = script
    if not path.is_file():
        raise UserError(f"plug-in {name!r} is not there: expected the name of a module, or the path of a script")
    return str(path.resolve())


def _read(name: str) -> Plugin:
    if not name.endswith(".py"):
        return Plugin(name)
    try:
        return Plugin(name, Path(name).read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"plug-in {name!r} cannot be read ({error}): expected a script") from error


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"
