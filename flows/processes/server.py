"""A Prefect server of our own: a child process that ends when its parent does, however that ends."""

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from aelle_core.foundation.child_processes import STOP_SECONDS
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.module_path import module_command
from flows.processes.client import check_password, environment, kept_for, named_server, prefect_home
from flows.processes.environment import prepare_prefect
from flows.processes.interruption import before_forced_end
from flows.processes.secret import kept_secret, link_file, new_secret, secret_file
from flows.processes.stale_runs import close_stale_runs

_START_SECONDS = 600  # a server that ends is noticed at once; one that lives may have a slow machine
_LOOK_SECONDS = 5
_NAMED_SECONDS = 15
_DELIVERY_SECONDS = 5
_EARLY_SECONDS, _EARLY_DEATHS = 60, 3
_EVERY_INTERFACE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class PrefectServer:
    """A Prefect server in a child process, started again when that dies. `url` is its API's address, `secret` what it
    asks for, name:password.

    The socket that listens stays open in this process: nobody can take the port, and who connects while there is no
    child waits for the next one.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, *, interface: bool = False) -> None:
        """Start the server and return at once; `prefect_server` tells what the arguments mean."""
        self._listening = _listener(host, port)
        self._interface = interface
        name = _EVERY_INTERFACE.get(host, host)
        self.port: int = self._listening.getsockname()[1]
        self.url = f"http://{f'[{name}]' if ':' in name else name}:{self.port}/api"
        self._forgotten = interface and port == 0  # nobody finds that port again
        try:
            self.secret = _own_secret(self.port if interface else None)
        except BaseException:
            self._listening.close()
            raise
        self._environment = os.environ | {
            "PREFECT_API_URL": self.url,
            "PREFECT_SERVER_API_AUTH_STRING": self.secret,
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": self.url.removesuffix("/api"),
            "PREFECT_SERVER_API_HOST": host,
            "PREFECT_SERVER_API_PORT": str(self.port),
            "PREFECT_SERVER_UI_ENABLED": str(interface).lower(),
        }
        self._lock = threading.Lock()
        self._stopping = False
        before_forced_end(self._forget)
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        descriptor = self._listening.fileno()
        command = module_command("flows.processes.server_process", str(descriptor), str(os.getpid()))
        return subprocess.Popen(
            [*command, "--interface"] if self._interface else command,
            pass_fds=[descriptor],
            stdin=subprocess.DEVNULL,
            # A terminal's Ctrl-C reaches its whole process group; what it interrupts still needs the server.
            start_new_session=True,
            env=self._environment,
        )

    def wait(self, seconds: float = _START_SECONDS) -> None:
        """Return when the server answers. Raises UserError when it has ended, or not answered within `seconds`."""
        await_answer(self.url, seconds, self._check_alive)
        threading.Thread(target=self._keep_alive, name="Prefect server", daemon=True).start()

    def _check_alive(self) -> None:
        if (code := self.process.poll()) is not None:
            raise UserError(
                f"the Prefect server at {self.url} ended with exit code {code}: expected it to start; its last lines "
                "say why. Where they name a revision, a newer Prefect has written its database: name another directory "
                "in PREFECT_HOME"
            )

    def _keep_alive(self) -> None:
        """Start the server again when it dies, until it has died early so often that this is no accident."""
        early = 0
        while True:
            started = time.monotonic()
            self.process.wait()
            early = early + 1 if time.monotonic() - started < _EARLY_SECONDS else 1
            with self._lock:
                if self._stopping:
                    return
                if early > _EARLY_DEATHS:
                    self._listening.close()  # clients are refused, not kept waiting
                    return
                self.process = self._start()

    def stop(self) -> None:
        """End the server, by force where it takes longer than 5 seconds."""
        with self._lock:
            self._stopping = True
            self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._listening.close()
        self._forget()

    def _forget(self) -> None:
        """Remove the password of a port that nobody finds again."""
        if self._forgotten:
            for path in (secret_file(prefect_home(), self.port), link_file(prefect_home(), self.port)):
                path.unlink(missing_ok=True)


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
    """Run a Prefect server for the block, named in PREFECT_API_URL to this process and its children; yield its address.

    Runs that it holds of processes of this machine that have gone are closed: see flows.processes.stale_runs.
    Where a server is named already, by PREFECT_API_URL or by Prefect's profile, that one is used and none is started.
    Its data lie in PREFECT_HOME, which several servers may share. The server asks for a password, which this process
    and its children give: PREFECT_SERVER_API_AUTH_STRING where that is set, else one that is kept for servers with an
    interface (see flows.processes.secret), and made for this call alone for others. A named server gets what
    PREFECT_API_AUTH_STRING says, or what is kept for it.

    Args:
        host: Where to listen.
        port: Where to listen; 0 takes a free port.
        interface: Serve the web interface too, and run the services behind it: schedules, automations, late runs.
        meanwhile: Called while the server starts, which takes 10 seconds or more.

    Raises UserError when the port cannot be listened on, when the server does not answer within 600 seconds, and when
    one that is named does not within 15 seconds, or asks for another password.
    """
    prepare_prefect()
    if url := named_server():
        await_answer(url, _NAMED_SECONDS)
        with environment(kept_for(url)):
            meanwhile()
            check_password(url)
            close_stale_runs()
            yield url
        return
    server = PrefectServer(host, port, interface=interface)
    try:
        with environment({"PREFECT_API_URL": server.url, "PREFECT_API_AUTH_STRING": server.secret}):
            meanwhile()
            server.wait()
            close_stale_runs()
            try:
                yield server.url
            finally:
                _deliver()
    finally:
        server.stop()


@contextmanager
def ending_without_server(url: str, end: Callable[[str], object]) -> Iterator[None]:
    """Call `end` with a reason, once, when the Prefect API at `url` has not answered for AELLE_OUTAGE_SECONDS (120).

    Prefect's clients try again for four minutes, so that no run fails before; see prepare_prefect. Raises UserError
    when the setting is not a number of at least 10.
    """
    patience = _outage_seconds()
    over = threading.Event()

    def watch() -> None:
        unanswered: float | None = None  # since when: nobody knows of the time between two questions
        while not over.wait(_LOOK_SECONDS):
            asked = time.monotonic()
            try:
                await_answer(url, _LOOK_SECONDS)
                unanswered = None
            except UserError:
                unanswered = asked if unanswered is None else unanswered
                if time.monotonic() - unanswered >= patience:
                    end(f"the Prefect server at {url} has not answered for {patience:g} s")
                    return

    threading.Thread(target=watch, name="Prefect outage", daemon=True).start()
    try:
        yield
    finally:
        over.set()


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="AELLE_", env_ignore_empty=True)

    outage_seconds: float = Field(120, ge=10)


def _outage_seconds() -> float:
    try:
        return _Settings().outage_seconds
    except ValidationError as error:
        given = os.environ.get("AELLE_OUTAGE_SECONDS")
        raise UserError(f"AELLE_OUTAGE_SECONDS={given!r}: expected a number of seconds, 10 or more") from error


def _deliver() -> None:
    """Let Prefect send the logs and events that wait in this process: without their server they would be tried for
    minutes when it ends, and lost."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for service in (APILogWorker, EventsWorker):
        service.drain_all(timeout=_DELIVERY_SECONDS)


def _own_secret(port: int | None) -> str:
    """Return what a server of ours asks for; `port` where that is one that people come back to."""
    from prefect.settings import PREFECT_SERVER_API_AUTH_STRING

    given = os.environ.get("PREFECT_SERVER_API_AUTH_STRING") or PREFECT_SERVER_API_AUTH_STRING.value()
    if given:
        return str(given)
    return new_secret() if port is None else kept_secret(prefect_home(), port)


def _listener(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise UserError(f"host {host!r}, port {port}: nothing can listen there ({error}); name another") from error
