"""Where the kernel's machine code is kept: in the user's cache, for each processor apart.

Who installs the package may prepare the code beside it (`python -m aelle_core.lyapunov.kernels.householder`); from
there it is taken into the cache of every user, also where the package itself cannot be written.
"""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numba
from llvmlite.binding import get_host_cpu_features, get_host_cpu_name

from aelle_core.foundation.machine_code import cache_directory

_config: Any = numba.config  # whose attributes numba sets when it is imported
_PATTERN = "algorithm.*.nb?"  # index and code


@contextmanager
def in_users_cache() -> Iterator[None]:
    """What numba is asked to keep within is kept in the user's cache; where NUMBA_CACHE_DIR is set, there. Where it
    cannot be written, numba looks for another place itself."""
    before = _config.CACHE_DIR
    if not before:
        _config.CACHE_DIR = str(cache_directory("kernels") / _processor())
    try:
        yield
    finally:
        _config.CACHE_DIR = before


def take_prepared(kept: str | Path) -> None:
    """Copy what has been prepared for this processor beside the package into numba's directory, where that has
    nothing yet and is not another by NUMBA_CACHE_DIR."""
    if not _config.CACHE_DIR and not any(Path(kept).glob("algorithm.*.nbi")):
        _copy(_prepared(), Path(kept))


def prepare_for_all(kept: str | Path) -> bool:
    """Copy numba's code beside the package, for all who use it. Returns whether that could be written."""
    return _copy(Path(kept), _prepared())


def _prepared() -> Path:
    return Path(__file__).with_name("__pycache__") / _processor()


def _processor() -> str:
    """Return a name for the processor and for what compiles for it."""
    facts = "\n".join((numba.__version__, get_host_cpu_name(), get_host_cpu_features().flatten()))
    return f"{get_host_cpu_name()}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"


def _copy(source: Path, target: Path) -> bool:
    """The index last: what it names is there then."""
    try:
        target.mkdir(parents=True, exist_ok=True)
        for file in sorted(source.glob(_PATTERN), key=lambda path: path.suffix == ".nbi"):
            shutil.copy2(file, target / file.name)
    except OSError:
        return False
    return True
