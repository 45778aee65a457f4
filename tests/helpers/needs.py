"""What some tests need beside Python."""

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

import pytest


def missing(reason: str) -> NoReturn:
    """Leave the test out, as something is not on this machine; where CI is set, everything must be, and it fails."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def search_path() -> str:
    """PATH with this Python's own programs before it, and after it those of PostgreSQL, which Debian keeps apart."""
    postgresql = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return os.pathsep.join(map(str, [Path(sys.executable).parent, os.environ["PATH"], *postgresql]))


def tool(name: str) -> str:
    """The program of that name; without it the test is left out, or fails where CI is set."""
    return shutil.which(name, path=search_path()) or missing(f"{name} is not installed")
