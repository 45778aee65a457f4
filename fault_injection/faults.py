"""Kills, each of something that is in the middle of its work."""

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import psutil

from fault_injection.cluster import Nodes, trains
from fault_injection.command import Command, until_gone
from fault_injection.local_parts import PARTS, part_of
from fault_injection.prefect_server import OutsideServer

_PATIENCE_SECONDS = 120.0  # generous: what it waits for takes one or two
_GONE_SECONDS = 30.0  # Ray's agents would end by themselves after a minute
_POLL_SECONDS = 0.02
_AWAY_SECONDS = (1.0, 8.0)
_END_SECONDS = 120.0  # Ray itself would wait for its GCS for a minute


@dataclass
class Scene:
    """What a round is played on. `command` is the study under way, `start` starts it again. A `local` study has started
    its own cluster, others run on `nodes`."""

    local: bool
    nodes: Nodes
    server: OutsideServer
    command: Command
    start: Callable[[], Command]
    draw: random.Random

    def busy(self) -> list[psutil.Process]:
        """The workers that train a pack of this study at this moment."""
        return [each for each in self.command.processes() if trains(each)] if self.local else self.nodes.busy()


class Fault(Protocol):
    """Something that is killed; says what it was, or None when all was done before there was anything to kill."""

    def __call__(self, scene: Scene) -> str | None: ...


def kill_worker(scene: Scene) -> str | None:
    """A Ray worker, while it trains a pack."""
    if (worker := _some_worker(scene)) is None:
        return None
    pack = worker.name()
    worker.kill()
    return f"worker {pack.removeprefix('ray::')}"


def stop_worker(scene: Scene) -> str | None:
    """A Ray worker is stopped (SIGSTOP) while it trains a pack, and goes on after a while."""
    if (worker := _some_worker(scene)) is None:
        return None
    pack = worker.name()
    worker.send_signal(signal.SIGSTOP)
    try:
        time.sleep(scene.draw.uniform(*_AWAY_SECONDS))
    finally:
        worker.send_signal(signal.SIGCONT)
    return f"worker {pack.removeprefix('ray::')} stopped"


def _some_worker(scene: Scene) -> psutil.Process | None:
    """Wait for workers that train, and draw one."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline and scene.command.process.poll() is None:
        if workers := scene.busy():
            return scene.draw.choice(sorted(workers, key=lambda each: each.pid))
        time.sleep(_POLL_SECONDS)
    return None


def kill_part(part: str, scene: Scene) -> str | None:
    """A part of the study's own cluster: the command must end with exit code 1 and one sentence, and blame no pack. The
    same command is started again."""
    if scene.command.process.poll() is not None:
        return None
    try:
        part_of(psutil.Process(scene.command.process.pid), part).kill()
    except (LookupError, psutil.NoSuchProcess):  # the study has just ended
        return None
    code, output = scene.command.wait(_END_SECONDS), scene.command.output
    if code != 1 or "aelle: the local Ray cluster has died: " not in output or "Traceback" in output:
        raise RuntimeError(f"exit code {code} once the {part} was killed: {output.strip()[-300:]}")
    if left := until_gone(scene.command, _GONE_SECONDS):
        raise RuntimeError(f"left of a study whose {part} was killed: {'; '.join(left)}")
    scene.command = scene.start()
    return part


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
    if not scene.local:
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


FAULTS: dict[str, Fault] = {
    "worker": kill_worker,
    "stopped": stop_worker,
    "node": kill_node,
    "server": kill_server,
    "flow": kill_flow,
}
"""What may happen to a study on a cluster that was there before."""

LOCAL_FAULTS: dict[str, Fault] = {
    "worker": kill_worker,
    "stopped": stop_worker,
    "flow": kill_flow,
    **{part: partial(kill_part, part) for part in PARTS},
}
"""What may happen to a study that has started its own cluster."""
