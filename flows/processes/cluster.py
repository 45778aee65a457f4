"""The Ray cluster that packs run on: one that is named, one that runs, or a local one for this run."""

import logging
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aelle_core.foundation.errors import UserError, some_of
from aelle_core.foundation.module_path import searches_current_folder
from flows.parameters import Request, Resources
from flows.processes.environment import prepare_ray
from flows.processes.interruption import kept_signal_handlers, telling_threads
from flows.processes.local_cluster import LocalCluster, watching
from flows.processes.malloc_arenas import share_arenas
from flows.processes.orphans import ending_with_this

_OBJECT_STORE_BYTES = 256 * 2**20  # packs exchange little: their results go to files
_QUIET: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}


@contextmanager
def ray_cluster(resources: Resources, wanted: Mapping[str, Request]) -> Iterator[None]:
    """Connect to Ray. A cluster that this call started stops with it; one that was there stays.

    `wanted` are requests by the name of who makes them. Raises UserError when no node can hold one of them, naming
    what is missing, at once or after `resources.patience` seconds, and when no cluster answers; ClusterError when a
    local one does not start.
    """
    local = not resources.ray_address
    prepare_ray(local)
    import ray

    if ray.is_initialized():
        check_resources(wanted, resources.patience)
        with telling_threads():
            yield
        return
    share_arenas()
    with _started() if local else _joined(str(resources.ray_address)):
        check_resources(wanted, resources.patience)
        with telling_threads():
            yield


@contextmanager
def _started() -> Iterator[None]:
    """Run a local cluster for the block."""
    cluster = LocalCluster.start(
        num_cpus=os.cpu_count(),
        include_dashboard=False,
        object_store_memory=_OBJECT_STORE_BYTES,
        _node_ip_address="127.0.0.1",
        job_config=job_config(),
        **_QUIET,
    )
    # The kernel ends the raylet with this process, however that ends, and workers end with their raylet, but its agents
    # first try for a minute to report that to the cluster.
    with ending_with_this(cluster.agents), watching(cluster):
        try:
            yield
        finally:
            cluster.stop()


@contextmanager
def _joined(address: str) -> Iterator[None]:
    """Connect to the cluster at an address for the block. Raises UserError where it gives no access."""
    import ray

    try:
        with kept_signal_handlers():  # Ray's would shut out Prefect's, which tells a cancelled run from a crashed one
            ray.init(address=address, job_config=job_config(), **_QUIET)
    except (ConnectionError, ray.exceptions.AuthenticationError) as error:
        raise UserError(f"ray_address={address!r}: {_why_not(error)}") from error
    try:
        yield
    finally:
        ray.shutdown()


def job_config() -> Any:
    """Return what workers are told about this process: modules lie where they lie for it.

    Ray adds the folder that this process runs in, which may hold a `flows` of another project.
    """
    from ray.job_config import JobConfig

    class _JobConfig(JobConfig):
        def _serialize(self) -> Any:
            if not searches_current_folder():
                here = os.path.abspath(os.curdir)
                self._py_driver_sys_path = [path for path in self._py_driver_sys_path if path != here]
            return super()._serialize()

    return _JobConfig()


def _why_not(error: BaseException | None) -> str:
    """Why a cluster does not let this process in. Ray says so in one of the errors that led to its last."""
    from ray.exceptions import AuthenticationError

    first = error
    while error is not None:
        if isinstance(error, AuthenticationError) or AuthenticationError.__name__ in str(error):
            return (
                "the Ray cluster there asks for another token than this process has: expected the cluster's own in "
                "RAY_AUTH_TOKEN, or in the file that RAY_AUTH_TOKEN_PATH names"
            )
        error = error.__cause__ or error.__context__
    return f"no Ray cluster answers there ({first})"


def check_resources(wanted: Mapping[str, Request], patience: float = 0) -> None:
    """Raise UserError unless for every request some living node can hold it: one that none can hold waits for ever.

    Waits up to `patience` seconds for such nodes to join, and asks an autoscaler for them where there is one.
    """
    deadline = time.monotonic() + patience
    asked = False
    try:
        while missing := {name: request for name, request in wanted.items() if not capacity(request)}:
            if time.monotonic() >= deadline:
                raise UserError(missing_resources(missing))
            if not asked:
                _ask_autoscaler(set(missing.values()))
                asked = True
            time.sleep(0.5)
    finally:
        if asked:
            _ask_autoscaler(set())


def capacity(request: Request) -> int:
    """How many tasks with this request the cluster's living nodes hold at once."""
    return sum(_held(node, request) for node in _living_nodes())


def missing_resources(missing: Mapping[str, Request]) -> str:
    """One sentence that says which requests no node can hold, and what the nodes have."""
    sentences = []
    for request in dict.fromkeys(missing.values()):
        names = [name for name, other in missing.items() if other == request]
        sentences.append(f"{some_of(names)}: a pack needs {request} on one node")
    kinds = Counter(f"{node.get('CPU', 0):g} CPU and {node.get('GPU', 0):g} GPU" for node in _living_nodes())
    nodes = ", ".join(f"{count} node{'s' if count > 1 else ''} with {kind}" for kind, count in sorted(kinds.items()))
    return f"{'; '.join(sentences)}; the cluster has {nodes or 'no nodes'}: add workers or lower the request"


def _living_nodes() -> list[dict[str, float]]:
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _held(node: Mapping[str, float], request: Request) -> int:
    wanted = {"CPU": request.cpus, "GPU": request.gpus}
    return min(int(node.get(kind, 0) / amount + 1e-9) for kind, amount in wanted.items() if amount > 0)


def _ask_autoscaler(requests: set[Request]) -> None:
    """Tell an autoscaler to bring a node for each request; nothing, to withdraw that. Without one nobody listens."""
    from ray.autoscaler.sdk import request_resources

    request_resources(bundles=[{"CPU": request.cpus, "GPU": request.gpus} for request in sorted(requests)])
