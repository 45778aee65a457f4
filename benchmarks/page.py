"""docs/spectrum-benchmark.md: the tables, and on what machine they came about."""

import datetime
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.cases import SEED
from benchmarks.tables import Table

_PACKAGES = ("torch", "numpy", "scipy", "numba", "llvmlite", "clvlib", "mpmath", "gmpy2")

_INTRODUCTION = """# The spectrum engine against its peers

Every speed claim about `lyapunov_spectrum`, made by one command in one run: `{command}` (seed {seed}). Peers
stand beside us: the published way (the research scripts' algorithm, benchmarks/peers/published.py), clvlib from PyPI,
and generic automatic differentiation. All ways to one spectrum take turns, A B C A B C, and ratios are made turn by
turn, so that a machine that drifts cancels out; the spread is the least and the largest turn.

{machine}. {timing}.
"""


def describe_machine() -> str:
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    day = datetime.date.today().isoformat()
    return (
        f"Measured on {day}: {processor()}, {os.cpu_count()} cores{load}; {platform.system()}, Python "
        f"{platform.python_version()}, {packages}"
    )


def processor() -> str:
    """The CPU's name and, where Linux tells, its family and model: names of rented machines say little."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name = facts.get("model name", platform.machine())
    numbers = ", ".join(f"{key} {facts[key]}" for key in ("cpu family", "model") if key in facts)
    wide = "AVX-512" if "avx512f" in facts.get("flags", "") else "no AVX-512"
    return f"{name} ({numbers}, {wide})" if numbers else name


def write(path: Path, tables: Sequence[Table], machine: str, command: str, timing: str) -> None:
    introduction = _INTRODUCTION.format(command=command, seed=SEED, machine=machine, timing=timing)
    path.write_text("\n\n".join([introduction.strip(), *(table.markdown() for table in tables)]) + "\n")
