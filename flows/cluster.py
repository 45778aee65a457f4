"""The Ray cluster that packs run on: one that is named, one that runs, or a local one for this run."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from aelle_core.errors import UserError
from flows.environment import prepare_ray
from flows.interruption import kept_signal_handlers, raise_if_interrupted, telling_threads
from flows.parameters import Resources

_CONNECT_SECONDS = 60
_OBJECT_STORE_BYTES = 256 * 2**20  # packs exchange little: their results go to files


@contextmanager
def ray_cluster(resources: Resources) -> Iterator[None]:
    """Connect to Ray. A cluster that this call started stops with it; one that was there stays.

    Raises UserError at once when no node can hold a pack, naming what is missing, or when no cluster answers.
    """
    local = not resources.ray_address
    prepare_ray(local)
    import ray

    if ray.is_initialized():
        check_resources(ray.nodes(), resources)
        with telling_threads():
            yield
        return
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if local:
        options |= {
            "num_cpus": os.cpu_count(),
            "include_dashboard": False,
            "object_store_memory": _OBJECT_STORE_BYTES,
            "_node_ip_address": "127.0.0.1",
        }
    try:
        with kept_signal_handlers():  # Ray's would shut out Prefect's, which tells a cancelled run from a crashed one
            ray.init(address="local" if local else resources.ray_address, **options)
    except ConnectionError as error:
        raise UserError(f"ray_address={resources.ray_address!r}: no Ray cluster answers there ({error})") from error
    try:
        check_resources(ray.nodes(), resources)
        with telling_threads():
            yield
    finally:
        ray.shutdown()


def check_resources(nodes: list[dict[str, Any]], resources: Resources) -> None:
    """Raise UserError unless some living node can hold a pack: a request that none can satisfy waits for ever."""
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    wanted = {"CPU": resources.cpus_per_pack, "GPU": resources.gpus_per_pack}
    if any(all(node.get(kind, 0) >= amount for kind, amount in wanted.items()) for node in alive):
        return
    most = {kind: max((node.get(kind, 0) for node in alive), default=0) for kind in wanted}
    raise UserError(
        f"a pack needs {wanted['CPU']:g} CPU and {wanted['GPU']:g} GPU on one node: the cluster's {len(alive)} nodes "
        f"have at most {most['CPU']:g} CPU and {most['GPU']:g} GPU; add workers or lower the request"
    )


def fan_out(
    function: Callable[..., Any],
    jobs: dict[str, tuple[Any, ...]],
    resources: Resources,
    while_waiting: Callable[[list[str]], None] = lambda running: None,
) -> Iterator[tuple[str, Any, Exception | None]]:
    """Run function(*arguments) as a Ray task for every named job, yielding (name, result, error) as each ends.

    A task whose worker dies is started again up to `resources.retries` times. Only as many are submitted at a time
    as keep the cluster busy, so a million jobs do not sit in memory. `while_waiting` is called about every second
    with the jobs that are submitted. Closing the iterator cancels what runs.
    """
    import ray

    remote = ray.remote(
        num_cpus=resources.cpus_per_pack, num_gpus=resources.gpus_per_pack, max_retries=resources.retries
    )(function)
    window = max(2, int(2 * ray.cluster_resources().get("CPU", 1) / resources.cpus_per_pack))
    waiting = iter(jobs.items())
    pending: dict[Any, str] = {}
    try:
        while True:
            while len(pending) < window and (job := next(waiting, None)) is not None:
                pending[remote.options(name=job[0]).remote(*job[1])] = job[0]
            if not pending:
                return
            done, _ = ray.wait(list(pending), num_returns=1, timeout=1.0)
            raise_if_interrupted()
            while_waiting(list(pending.values()))
            for reference in done:
                name = pending.pop(reference)
                try:
                    result, error = ray.get(reference), None
                except ray.exceptions.RayError as failure:
                    result, error = None, failure
                yield name, result, error
    finally:
        for reference in pending:
            # After an interrupt the cluster may be gone already; then nothing runs any more.
            with suppress(ray.exceptions.RayError, RuntimeError, TypeError):
                ray.cancel(reference, force=True)
