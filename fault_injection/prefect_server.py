"""A Prefect server that nobody looks after: it can be killed, and started again at the same address."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from flows.processes.environment import prepare_prefect
from flows.processes.server import await_answer

_START_SECONDS = 300


class OutsideServer:
    """A server as `prefect server start` runs it, on a port of loopback."""

    def __init__(self, home: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}/api"
        self._home = home
        home.mkdir(parents=True, exist_ok=True)
        self.start()

    @property
    def environment(self) -> dict[str, str]:
        """What a command must have in its environment to use this server."""
        return {"PREFECT_HOME": str(self._home), "PREFECT_API_URL": self.url}

    def start(self) -> None:
        """Start it, and return when it answers."""
        prepare_prefect()
        arguments = ["server", "start", "--host", "127.0.0.1", "--port", str(self._port), "--no-ui"]
        with (self._home / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "prefect", *arguments],
                env=os.environ | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            await_answer(self.url, _START_SECONDS)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End it at once, in the middle of whatever it does."""
        self.process.kill()
        self.process.wait()
