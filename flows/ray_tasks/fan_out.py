"""Run many Ray tasks, as many at a time as the cluster can use, each tried again when it fails."""

import heapq
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from aelle_core.foundation.errors import UserError
from flows.parameters import Request, Resources
from flows.processes.cluster import capacity, missing_resources
from flows.processes.interruption import raise_if_interrupted
from flows.processes.local_cluster import LocalCluster, check_cluster
from flows.ray_tasks.plugged import with_plugins

_LOOK_SECONDS = 1.0
_LONGEST_DELAY = 300.0
_WITHOUT_NODES_SECONDS = 60.0  # a cluster that lost its last fitting node may get another one


class Outcome(NamedTuple):
    """What became of a job: its result, or the error of its last attempt."""

    name: str
    result: Any
    error: Exception | None
    attempts: int


@dataclass
class _Job:
    name: str
    arguments: tuple[Any, ...]
    attempts: int = 0
    in_vain: int = 0
    reached: object = None


def fan_out(
    function: Callable[..., Any],
    jobs: Iterable[tuple[str, tuple[Any, ...]]],
    request: Request,
    resources: Resources,
    *,
    on_failure: Callable[[str, Exception, int], object] = lambda name, error, attempts: None,
    while_waiting: Callable[[list[str]], None] = lambda running: None,
) -> Generator[Outcome, None, None]:
    """Run function(*arguments) as a Ray task for every named job, yielding what became of each as it ends.

    A job that fails, by an exception, with its worker or with its node, is tried again after a growing delay, up to
    `resources.retries` times. `on_failure` is called with its name, its error and how often it was tried, and returns
    how far the job came: a job that came further than at its last failure gets all its retries again. Only enough jobs
    to keep the present cluster busy are drawn from `jobs` and submitted. `while_waiting` is called about every
    second with the jobs that are submitted. What a callback raises ends the fan-out; ending it, or closing the
    generator, cancels what runs. Raises UserError when for a minute (or `resources.patience`) no node can hold a job,
    and ClusterError when the local cluster has died, which is no failure of the jobs that failed with it.
    """
    import ray

    remote = ray.remote(num_cpus=request.cpus, num_gpus=request.gpus, max_retries=0)(with_plugins(function))
    queue = _Queue(jobs, resources.retry_delay)
    pending: dict[Any, _Job] = {}
    next_look = time.monotonic() + _LOOK_SECONDS
    try:
        with _sharing(request) as window:
            while True:
                check_cluster()
                window.queued = not queue.empty
                while len(pending) < window.size(resources.patience) and (job := queue.next()) is not None:
                    pending[remote.options(name=job.name).remote(*job.arguments)] = job
                if not pending and queue.empty:
                    return
                if pending:
                    done, _ = ray.wait(list(pending), num_returns=1, timeout=_LOOK_SECONDS)
                else:
                    done = []
                    time.sleep(min(_LOOK_SECONDS, queue.seconds_to_next))
                raise_if_interrupted()
                if time.monotonic() >= next_look:
                    while_waiting([job.name for job in pending.values()])
                    next_look = time.monotonic() + _LOOK_SECONDS
                for reference in done:
                    job = pending.pop(reference)
                    job.attempts += 1
                    try:
                        outcome = Outcome(job.name, ray.get(reference), None, job.attempts)
                    except ray.exceptions.RayError as failure:
                        check_cluster(failure)
                        reached = on_failure(job.name, failure, job.attempts)
                        job.in_vain = 1 if reached != job.reached else job.in_vain + 1
                        job.reached = reached
                        if job.in_vain <= resources.retries:
                            queue.again(job)
                            continue
                        outcome = Outcome(job.name, None, failure, job.attempts)
                    yield outcome
    finally:
        whole = LocalCluster.running is None or not LocalCluster.running.ended()
        for reference in pending if whole else ():
            # After an interrupt the cluster may be gone already; then nothing runs any more.
            with suppress(ray.exceptions.RayError, RuntimeError, TypeError):
                ray.cancel(reference, force=True)


class _Queue:
    """Jobs that failed, each from when its delay is over, then those that were never tried."""

    def __init__(self, jobs: Iterable[tuple[str, tuple[Any, ...]]], delay: float) -> None:
        self._fresh = iter(jobs)
        self._ahead = next(self._fresh, None)
        self._failed: list[tuple[float, str, _Job]] = []
        self._delay = delay

    @property
    def empty(self) -> bool:
        return self._ahead is None and not self._failed

    @property
    def seconds_to_next(self) -> float:
        return max(0.0, self._failed[0][0] - time.monotonic()) if self._ahead is None else 0.0

    def next(self) -> _Job | None:
        """Return the next job whose time has come."""
        if self._failed and self._failed[0][0] <= time.monotonic():
            return heapq.heappop(self._failed)[2]
        if self._ahead is None:
            return None
        job = _Job(*self._ahead)
        self._ahead = next(self._fresh, None)
        return job

    def again(self, job: _Job) -> None:
        delay = min(self._delay * 2.0 ** (job.in_vain - 1), _LONGEST_DELAY)
        heapq.heappush(self._failed, (time.monotonic() + delay, job.name, job))


class _Window:
    """How many jobs of one fan-out are submitted at a time: twice what the cluster holds now, shared with all other
    fan-outs of this process that have jobs of that kind to submit."""

    _sharers: ClassVar[Counter[Request]] = Counter()
    _lock: ClassVar = threading.Lock()

    def __init__(self, request: Request) -> None:
        self._request = request
        self._queued = False
        self._capacity = 0
        self._next_look = 0.0
        self._held_last = time.monotonic()

    @property
    def queued(self) -> bool:
        """Whether there are jobs to submit."""
        return self._queued

    @queued.setter
    def queued(self, value: bool) -> None:
        if value != self._queued:
            with self._lock:
                self._sharers[self._request] += 1 if value else -1
            self._queued = value

    def size(self, patience: float) -> int:
        """Raise UserError when no node has been able to hold a job for too long."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _LOOK_SECONDS
            self._capacity = capacity(self._request)
            if self._capacity:
                self._held_last = now
            elif now - self._held_last > max(patience, _WITHOUT_NODES_SECONDS):
                raise UserError(missing_resources({"packs wait": self._request}))
        return max(2, -(-2 * self._capacity // max(1, self._sharers[self._request])))


@contextmanager
def _sharing(request: Request) -> Iterator[_Window]:
    window = _Window(request)
    try:
        yield window
    finally:
        window.queued = False
