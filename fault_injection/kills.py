"""Kills, each of something that is in the middle of its work."""

import signal
import time

import psutil

from fault_injection.local_parts import part_of
from fault_injection.scene import END_SECONDS, PATIENCE_SECONDS, POLL_SECONDS, Scene

_AWAY_SECONDS = (1.0, 8.0)


def kill_worker(scene: Scene) -> str | None:
    """Kill a Ray worker while it trains a pack."""
    if (worker := _some_worker(scene)) is None:
        return None
    pack = worker.name()
    worker.kill()
    return f"worker {pack.removeprefix('ray::')}"


def stop_worker(scene: Scene) -> str | None:
    """Stop a Ray worker (SIGSTOP) while it trains a pack, and let it go on after a while."""
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
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and not scene.ended:
        if workers := scene.busy():
            return scene.draw.choice(sorted(workers, key=lambda worker: worker.pid))
        time.sleep(POLL_SECONDS)
    return None


def kill_part(part: str, scene: Scene) -> str | None:
    """Kill a part of the study's own cluster: the command must end with exit code 1 and one sentence, and blame no
    pack. The same command is started again."""
    if scene.ended:
        return None
    try:
        part_of(psutil.Process(scene.command.process.pid), part).kill()
    except (LookupError, psutil.NoSuchProcess):  # the study has just ended
        return None
    code, output = scene.command.wait(END_SECONDS), scene.command.output
    if code != 1 or "aelle: the local Ray cluster has died: " not in output or "Traceback" in output:
        raise RuntimeError(f"exit code {code} once the {part} was killed: {output.strip()[-300:]}")
    scene.start_again()
    return part


def kill_node(scene: Scene) -> str | None:
    """Kill a node with all its processes; another joins after a while."""
    if scene.ended:
        return None
    address = scene.nodes.kill_one(scene.draw)
    time.sleep(scene.draw.uniform(*_AWAY_SECONDS))
    scene.nodes.complete()
    return f"node {address}"


def kill_server(scene: Scene) -> str | None:
    """Kill the Prefect server, and start it again after a while at the same address."""
    if scene.ended:
        return None
    scene.server.kill()
    time.sleep(scene.draw.uniform(*_AWAY_SECONDS))
    scene.server.start()
    return "Prefect server"


def kill_flow(scene: Scene) -> str | None:
    """Kill the command that drives it all, and start the same command again once nothing of it is left."""
    if scene.ended:
        return None
    scene.command.kill_first()
    scene.start_again()
    return "flow"
