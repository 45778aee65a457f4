"""A Prefect server of our own: a child process that ends when its parent does, however that ends."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aelle_core.errors import UserError
from flows.environment import prepare_prefect

_START_SECONDS = 180
_NAMED_SECONDS = 15
_STOP_SECONDS = 5
_DELIVERY_SECONDS = 5
_EVERY_INTERFACE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class PrefectServer:
    """A Prefect server in a child process. `url` is its API's address, `process` serves it."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0, *, interface: bool = False) -> None:
        """Start the server and return at once; `prefect_server` tells what the arguments mean."""
        with _listener(host, port) as listening:
            # The child gets the open socket: nobody can take the port in between, and who connects early waits.
            port = listening.getsockname()[1]
            name = _EVERY_INTERFACE.get(host, host)
            self.url = f"http://{f'[{name}]' if ':' in name else name}:{port}/api"
            settings = {
                "PREFECT_API_URL": self.url,
                "PREFECT_SERVER_API_HOST": host,
                "PREFECT_SERVER_API_PORT": str(port),
                "PREFECT_SERVER_UI_ENABLED": str(interface).lower(),
            }
            command = [sys.executable, "-m", "flows.server_process", str(listening.fileno()), str(os.getpid())]
            self.process = subprocess.Popen(
                [*command, "--interface"] if interface else command,
                pass_fds=[listening.fileno()],
                stdin=subprocess.DEVNULL,
                # A terminal's Ctrl-C reaches its whole process group; what it interrupts still needs the server.
                start_new_session=True,
                env=os.environ | settings,
            )

    def wait(self, seconds: float = _START_SECONDS) -> None:
        """Return when the server answers. Raises UserError when it has ended, or not answered within `seconds`."""
        await_answer(self.url, seconds, self._check_alive)

    def _check_alive(self) -> None:
        if (code := self.process.poll()) is not None:
            raise UserError(f"the Prefect server at {self.url} ended with exit code {code}: expected it to start")

    def stop(self) -> None:
        """End the server, by force where it takes longer than 5 seconds."""
        self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def await_answer(url: str, seconds: float, check: Callable[[], None] = lambda: None) -> None:
    """Return when the Prefect API at `url` answers; `check` is called between the attempts.

    Raises UserError when there is no answer within `seconds`.
    """
    import httpx

    deadline = time.monotonic() + seconds
    problem = "no answer"
    while (left := deadline - time.monotonic()) > 0:
        check()
        try:
            response = httpx.get(f"{url}/health", timeout=max(0.1, min(left, 2.0)))
            if response.is_success:
                return
            problem = f"status {response.status_code}"
        except httpx.HTTPError as error:
            problem = str(error) or type(error).__name__
        time.sleep(0.1)
    raise UserError(f"PREFECT_API_URL={url!r}: no Prefect server answers there within {seconds:g} s ({problem})")


@contextmanager
def prefect_server(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    interface: bool = False,
    meanwhile: Callable[[], object] = lambda: None,
) -> Iterator[str]:
    """A Prefect server for the block, named in PREFECT_API_URL to this process and its children. Yields its address.

    Where a server is named already, by PREFECT_API_URL or by Prefect's profile, that one is used and none is started.
    Its data lie in PREFECT_HOME, which several servers may share. With PREFECT_SERVER_API_AUTH_STRING in the
    environment, the server asks for it and this process gives it.

    Args:
        host: Where to listen.
        port: Where to listen; 0 takes a free port.
        interface: Serve the web interface too, and run the services behind it: schedules, automations, late runs.
        meanwhile: Called while the server starts, which takes 10 seconds or more.

    Raises UserError when the port cannot be listened on, when the server does not answer within 180 seconds, or when
    one that is named does not within 15 seconds.
    """
    prepare_prefect()
    if url := _named_server():
        await_answer(url, _NAMED_SECONDS)
        meanwhile()
        yield url
        return
    server = PrefectServer(host, port, interface=interface)
    try:
        with _environment(_client_settings(server.url)):
            meanwhile()
            server.wait()
            try:
                yield server.url
            finally:
                _deliver()
    finally:
        server.stop()


def _deliver() -> None:
    """Let Prefect send the logs and events that wait in this process: without their server they would be tried for
    minutes when it ends, and lost."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for service in (APILogWorker, EventsWorker):
        service.drain_all(timeout=_DELIVERY_SECONDS)


def _named_server() -> str | None:
    if url := os.environ.get("PREFECT_API_URL"):
        return url
    from prefect.settings import PREFECT_API_URL

    return PREFECT_API_URL.value()


def _client_settings(url: str) -> dict[str, str]:
    settings = {"PREFECT_API_URL": url}
    if secret := os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):
        settings["PREFECT_API_AUTH_STRING"] = secret
    return settings


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    """The settings in this process' environment, and in prefect's, which reads its own only once."""
    from prefect.context import refresh_global_settings_context

    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    refresh_global_settings_context()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        refresh_global_settings_context()


def _listener(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise UserError(f"host {host!r}, port {port}: nothing can listen there ({error}); name another") from error
