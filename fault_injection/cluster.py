"""A Ray cluster on this machine alone: a head without CPUs, and workers on loopback addresses of their own."""

import os
import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from fault_injection.command import MARK, has_mark
from flows.processes.environment import prepare_ray

_OBJECT_STORE_BYTES = 96 * 2**20
# Ray takes 127.0.0.1 for the address that others know this machine by, where nobody is to listen.
_HEAD_ADDRESS = "127.0.0.2"
_WORKER_ADDRESSES = ("127.0.0.3", "127.0.0.4")


class Nodes:
    """The cluster's nodes, which can be killed and come back."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self._mark = os.environ[MARK]
        self._workers = {address: self._join(address) for address in _WORKER_ADDRESSES}

    @property
    def address(self) -> str:
        """What `aelle --address` takes."""
        return self._cluster.address

    def kill_one(self, draw: random.Random) -> str:
        """Kill a worker node, with all that runs on it; its address. It is away until `complete`."""
        address = draw.choice(sorted(self._workers))
        self._cluster.remove_node(self._workers.pop(address), allow_graceful=False)
        return address

    def complete(self) -> None:
        """Bring the nodes back that were killed."""
        for address in set(_WORKER_ADDRESSES) - set(self._workers):
            self._workers[address] = self._join(address)

    def busy(self) -> list[psutil.Process]:
        """The workers that train a pack at this moment."""
        return [each for each in psutil.process_iter() if trains(each) and has_mark(each, self._mark)]

    def _join(self, address: str) -> Any:
        return self._cluster.add_node(
            num_cpus=1, object_store_memory=_OBJECT_STORE_BYTES, node_ip_address=address, include_dashboard=False
        )


@contextmanager
def ray_nodes() -> Iterator[Nodes]:
    """A cluster with two workers of one CPU while the block runs."""
    prepare_ray(local=True)
    os.environ[MARK] = uuid.uuid4().hex  # for the nodes: other clusters on this machine are not ours to touch
    from ray.cluster_utils import Cluster

    head = {
        "num_cpus": 0,
        "object_store_memory": _OBJECT_STORE_BYTES,
        "node_ip_address": _HEAD_ADDRESS,
        "include_dashboard": False,
    }
    cluster = Cluster(initialize_head=True, head_node_args=head, shutdown_at_exit=True)
    try:
        yield Nodes(cluster)
    finally:
        cluster.shutdown()
        del os.environ[MARK]


def trains(process: psutil.Process) -> bool:
    """Whether it is a Ray worker with a pack: Ray writes a task's name into its title, and those of its agents too."""
    try:
        title = (process.cmdline() or [""])[0]
    except psutil.Error:
        return False
    return title.startswith("ray::") and "-pack" in title
