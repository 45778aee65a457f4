"""Kills, each of something that is in the middle of its work."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fault_injection.cluster import Nodes
from fault_injection.command import Command, until_gone
from fault_injection.prefect_server import OutsideServer

_PATIENCE_SECONDS = 120.0  # generous: what it waits for takes one or two
_GONE_SECONDS = 30.0  # Ray's agents would end by themselves after a minute
_POLL_SECONDS = 0.02
_AWAY_SECONDS = (1.0, 8.0)


@dataclass
class Scene:
    """What a round is played on. `command` is the study under way, `start` starts it again."""

    nodes: Nodes
    server: OutsideServer
    command: Command
    start: Callable[[], Command]
    draw: random.Random


class Fault(Protocol):
    """Something that is killed; says what it was, or None when all was done before there was anything to kill."""

    def __call__(self, scene: Scene) -> str | None: ...


def kill_worker(scene: Scene) -> str | None:
    """A Ray worker, while it trains a pack."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline and scene.command.process.poll() is None:
        if workers := scene.nodes.busy():
            worker = scene.draw.choice(sorted(workers, key=lambda each: each.pid))
            pack = worker.name()
            worker.kill()
            return f"worker {pack.removeprefix('ray::')}"
        time.sleep(_POLL_SECONDS)
    return None


def kill_node(scene: Scene) -> str | None:
    """A node with all its processes; another joins after a while."""
    if scene.command.process.poll() is not None:
        return None
    address = scene.nodes.kill_one(scene.draw)
    time.sleep(scene.draw.uniform(*_AWAY_SECONDS))
    scene.nodes.complete()
    return f"node {address}"


def kill_server(scene: Scene) -> str | None:
    """The Prefect server, started again after a while at the same address."""
    if scene.command.process.poll() is not None:
        return None
    scene.server.kill()
    time.sleep(scene.draw.uniform(*_AWAY_SECONDS))
    scene.server.start()
    return "Prefect server"


def kill_flow(scene: Scene) -> str | None:
    """The command that drives it all; the same command is started again once nothing of it is left."""
    if scene.command.process.poll() is not None:
        return None
    scene.command.kill_first()
    if left := until_gone(scene.command, _GONE_SECONDS):
        raise RuntimeError(f"left of a killed flow after {_GONE_SECONDS:g} s: {'; '.join(left)}")
    _until_idle(scene.nodes)
    scene.command = scene.start()
    return "flow"


def _until_idle(nodes: Nodes) -> None:
    """Wait until no worker of the cluster trains for the killed flow any more."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while left := nodes.busy():
        if time.monotonic() > deadline:
            raise RuntimeError(f"packs of a killed flow still train after {_PATIENCE_SECONDS:g} s: {len(left)}")
        time.sleep(_POLL_SECONDS)


FAULTS: dict[str, Fault] = {"worker": kill_worker, "node": kill_node, "server": kill_server, "flow": kill_flow}
