"""Pages of a benchmark: tables, and on what machine they came about."""

import datetime
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.shared.tables import Table


def describe_machine(*packages: str) -> str:
    """The day, the processor, and the versions of Python, torch, numpy and the named packages."""
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", *packages))
    day = datetime.date.today().isoformat()
    return (
        f"Measured on {day}: {processor()}, {os.cpu_count()} cores{load}; {platform.system()}, Python "
        f"{platform.python_version()}, {versions}"
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


def write(path: Path, introduction: str, tables: Sequence[Table]) -> None:
    """The page, in Markdown."""
    path.write_text("\n\n".join([introduction.strip(), *(table.markdown() for table in tables)]) + "\n")
