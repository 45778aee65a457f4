"""A Ray cluster that this process has started: whether all of it still lives, and its end."""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

import psutil

from aelle_core.foundation.errors import UserError, first_line
from flows.processes.interruption import end_command, kept_signal_handlers

_ATTEMPTS = 3
_AGENTS_SECONDS = 60
_LOOK_SECONDS = 1.0
_NOTICE_SECONDS = 10.0  # for whoever runs packs to notice first
_CRASH_SECONDS = 3.0
_SHUTDOWN_SECONDS = 10.0


class ClusterError(RuntimeError):
    """The local Ray cluster has died, or does not start. One sentence; no pack is to blame.

    It carries one argument only, so that it survives pickling between processes.
    """


class LocalCluster:
    """The parts of the local cluster without which no pack can be trained, by name.

    Packs that fail after one of them has ended fail for that reason: Ray's raylet ends when one of its agents does, and
    every worker with its raylet.
    """

    running: "ClassVar[LocalCluster | None]" = None

    def __init__(self, parts: dict[str, psutil.Process]) -> None:
        self._parts = parts

    @classmethod
    def start(cls, **options: Any) -> "LocalCluster":
        """Start one with these options of ray.init. A start that fails, as on a machine with much else to do, is tried
        again. Raises ClusterError when three have failed."""
        import ray

        # Ray prints twenty lines of its raylet's log here when that dies. They are in its session's directory as well.
        assert hasattr(ray._private.worker, "print_to_stdstream"), "Ray prints its errors in another way"
        ray._private.worker.print_to_stdstream = _print_nothing
        for _ in range(_ATTEMPTS):
            before = set(psutil.Process().children(recursive=True))
            try:
                with kept_signal_handlers():  # Ray's would shut out Prefect's, which separates cancelled from crashed
                    ray.init(address="local", **options)
                cls.running = cls(_parts())
                return cls.running
            except (UserError, ValueError, TypeError):  # another attempt would say the same
                raise
            except Exception as error:  # Ray raises Exception itself where a part does not answer in time
                problem = first_line(error)
                with suppress(Exception):
                    ray.shutdown()
                _kill(set(psutil.Process().children(recursive=True)) - before)
        raise ClusterError(f"Ray could not be started on this machine in {_ATTEMPTS} attempts: {problem}")

    @property
    def agents(self) -> list[psutil.Process]:
        """The raylet's agents, which the kernel does not end with this process."""
        return [process for name, process in self._parts.items() if name.endswith("agent")]

    def ended(self) -> list[str]:
        """Return the names of the parts that have ended."""
        return [name for name, process in self._parts.items() if not _lives(process)]

    def stop(self) -> None:
        """End it; at once where a part has ended already, for the others would wait for that."""
        import ray

        LocalCluster.running = None
        if not self.ended():
            ray.shutdown()
            return
        _kill(_of_ray())
        last = threading.Thread(target=ray.shutdown, name="Ray's end", daemon=True)
        last.start()
        last.join(_SHUTDOWN_SECONDS)


def check_cluster(failure: Exception | None = None) -> None:
    """Raise ClusterError where this process has started a cluster and that has died, or such a task's failure says so.

    A worker that has crashed may have done so because its cluster dies: that is waited for a moment.
    """
    if (cluster := LocalCluster.running) is None:
        return
    from ray.exceptions import LocalRayletDiedError, NodeDiedError, WorkerCrashedError

    if isinstance(failure, LocalRayletDiedError | NodeDiedError):
        raise ClusterError(f"the local Ray cluster has died: {first_line(failure)}")
    deadline = time.monotonic() + (_CRASH_SECONDS if isinstance(failure, WorkerCrashedError) else 0)
    while True:
        if ended := cluster.ended():
            raise ClusterError(_has_died(ended))
        if time.monotonic() >= deadline:
            return
        time.sleep(0.1)


@contextmanager
def watching(cluster: LocalCluster) -> Iterator[None]:
    """Within the block, end a command whose cluster has died and which waits for it: Ray itself would wait for its GCS
    for a minute, then abort the process."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK_SECONDS):
            if ended := cluster.ended():
                if not over.wait(_NOTICE_SECONDS):
                    end_command(_has_died(ended))
                return

    threading.Thread(target=watch, name="local cluster", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _has_died(ended: Sequence[str]) -> str:
    return f"the local Ray cluster has died: its {' and its '.join(ended)} ended"


def _print_nothing(*given: object, **named: object) -> None:
    """In the place of Ray's function."""


def _parts() -> dict[str, psutil.Process]:
    """Return the cluster's processes below this one, once all are there."""
    deadline = time.monotonic() + _AGENTS_SECONDS
    while True:
        parts = {}
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if _lives(process) and (name := _part(process)):  # those of a start that failed may be zombies
                    parts[name] = process
        if len(parts) == len(_PARTS) or time.monotonic() > deadline:
            return parts
        time.sleep(0.1)


_PARTS = {
    "raylet": ("raylet",),
    "GCS server": ("gcs_server",),
    "dashboard agent": ("DashboardAgent", "dashboard/agent.py"),
    "runtime environment agent": ("RuntimeEnvAgent", "runtime_env/agent/main.py"),
}


def _part(process: psutil.Process) -> str | None:
    if (name := process.name()) in ("raylet", "gcs_server"):
        return next(part for part, words in _PARTS.items() if name in words)
    line = " ".join(process.cmdline())
    return next(
        (part for part, words in _PARTS.items() if part.endswith("agent") and any(word in line for word in words)), None
    )


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _of_ray() -> set[psutil.Process]:
    """Return what Ray has started below this process: the raylet and the GCS, and all below them."""
    family: set[psutil.Process] = set()
    for process in psutil.Process().children():
        with suppress(psutil.Error):
            if process.name() in ("raylet", "gcs_server") or "/ray/" in " ".join(process.cmdline()):
                family |= {process, *process.children(recursive=True)}
    return family


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
