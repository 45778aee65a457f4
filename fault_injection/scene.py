"""What a round is played on, and what faults wait for in it."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import psutil

from fault_injection.cluster import Nodes, trains
from fault_injection.command import Command, until_gone
from fault_injection.disk import Disk
from fault_injection.prefect_server import OutsideServer

PATIENCE_SECONDS = 120.0  # generous: what it waits for takes one or two
GONE_SECONDS = 30.0  # Ray's agents would end by themselves after a minute
END_SECONDS = 120.0  # Ray itself would wait for its GCS for a minute
POLL_SECONDS = 0.02


@dataclass
class Scene:
    """The study of a round. `command` is the study under way, `start` starts it again, and its results go to `run`, on
    `disk` where one could be mounted. A `local` study has started its own cluster, others run on `nodes`. `altered` are
    the stored files that a fault has changed."""

    local: bool
    nodes: Nodes
    server: OutsideServer
    command: Command
    start: Callable[[], Command]
    draw: random.Random
    run: Path
    disk: Disk | None
    altered: list[Path] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Whether the study's command has ended."""
        return self.command.process.poll() is not None

    def busy(self) -> list[psutil.Process]:
        """Return the workers that train a pack of this study at this moment."""
        if not self.local:
            return self.nodes.busy()
        return [process for process in self.command.processes() if trains(process)]

    def start_again(self) -> None:
        """Start the same command again, once nothing is left of the one that has ended. Raises RuntimeError where
        something is left."""
        if left := until_gone(self.command, GONE_SECONDS):
            raise RuntimeError(f"left of a study that has ended after {GONE_SECONDS:g} s: {'; '.join(left)}")
        if not self.local:
            self._wait_until_idle()
        self.command = self.start()

    def _wait_until_idle(self) -> None:
        """Wait until no worker of the cluster trains for the ended flow any more."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while left := self.nodes.busy():
            if time.monotonic() > deadline:
                raise RuntimeError(f"packs of an ended flow still train after {PATIENCE_SECONDS:g} s: {len(left)}")
            time.sleep(POLL_SECONDS)


class Fault(Protocol):
    """Do something to a study that is under way, and return what it was in words; None when the study had ended before
    there was anything to do it to."""

    def __call__(self, scene: Scene) -> str | None: ...
