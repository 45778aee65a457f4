"""What the tests of faults share: numbers of an undisturbed study to compare with, and sweeps that are watched."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from aelle_core.study import RunDirectory, Study, run_study


def sorted_rows(table: pa.Table) -> list[tuple[str, int]]:
    return sorted(zip(table["network"].to_pylist(), table["epoch"].to_pylist(), strict=True))


def assert_same_numbers(rows: pa.Table, expected: pa.Table) -> None:
    """The same networks at the same epochs, each once, with the same losses and spectra."""
    assert sorted_rows(rows) == sorted_rows(expected)
    np.testing.assert_allclose(rows["validation_loss"], expected["validation_loss"], rtol=1e-5)
    for first, second in zip(rows["spectrum_hidden"].to_pylist(), expected["spectrum_hidden"].to_pylist(), strict=True):
        assert (first is None) == (second is None)
        if first is not None:
            np.testing.assert_allclose(first, second, atol=1e-3)


def sweep_state(study: Study, directory: Path | str, **resources: Any) -> Any:
    """The final state of a sweep."""
    from flows.parameters import Resources, StudyParameters
    from flows.sweep import sweep

    settings = Resources(**{"retry_delay": 0.1, "way": "packed", **resources})
    return sweep(StudyParameters(**study.to_dict()), str(directory), settings, return_state=True)


def alone(study: Study) -> pa.Table:
    """All rows of a study that ran in this process, without Prefect and Ray and undisturbed."""
    if study.identity not in _made:
        with TemporaryDirectory() as directory:
            run = RunDirectory(Path(directory) / "run")
            run_study(study, run, way="packed")
            _made[study.identity] = run.store.read()
    return _made[study.identity]


_made: dict[str, pa.Table] = {}


@contextmanager
def once_stored(directory: Path, fragments: int, act: Callable[[], object]) -> Iterator[list[float]]:
    """While the block runs, `act` as soon as the run directory holds so many fragments. The list has the moment when
    it was done (time.monotonic), and is empty when it never was."""
    done: list[float] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            if len(list(directory.glob("spectra/study=*/cell=*/epoch=*/[!_]*.parquet"))) >= fragments:
                act()
                done.append(time.monotonic())
                return
            over.wait(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield done
    finally:
        over.set()
        watcher.join()
