"""Where child processes look for modules: where this process does, never in a folder that happens to be current."""

import os
import sys


def searches_current_folder() -> bool:
    """Return whether this process imports from the folder that it runs in, as `python -m` makes it do."""
    current = os.path.realpath(os.curdir)
    return any(os.path.realpath(path or os.curdir) == current for path in sys.path)


def keep_current_folder_off_paths() -> None:
    """Keep child processes from importing from the folder that they run in, unless this process does.

    A user's folder may hold a `flows` or a `ray` of another project, which `python -m` would find first.
    """
    if not searches_current_folder():
        os.environ.setdefault("PYTHONSAFEPATH", "1")


def module_command(module: str, *arguments: str) -> list[str]:
    """Return the command of a child process that runs a module of this project, found where this process finds it."""
    safe = [] if searches_current_folder() else ["-P"]
    return [sys.executable, *safe, "-m", module, *arguments]
