"""What a Prefect server of ours runs (`python -m flows.processes.server_process`): serve an open socket while the
parent lives."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from aelle_core.foundation.child_processes import STOP_SECONDS, end_with


def serve(
    descriptor: Annotated[int, typer.Argument(help="File descriptor of a socket that listens.")],
    parent: Annotated[int, typer.Argument(help="Process whose end ends this one.")],
    interface: Annotated[bool, typer.Option("--interface", help="Serve the web interface and its services.")] = False,
) -> None:
    """Serve Prefect's API on an open socket."""
    end_with(parent)  # before the imports, which take seconds
    import uvicorn
    from prefect.server.api.server import create_app
    from prefect.settings import PREFECT_HOME, PREFECT_SERVER_API_AUTH_STRING, PREFECT_SERVER_API_HOST

    from flows.processes.guard import App, Guard, names_of

    secret = PREFECT_SERVER_API_AUTH_STRING.value()
    assert secret, "a server of ours lets nobody in without a password"

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            with _alone(PREFECT_HOME.value()):
                await super().startup(sockets)

    app: App = create_app(ephemeral=not interface, final=True)
    if interface:
        from flows.served.reports import Reports

        app = Reports(app, secret if isinstance(secret, str) else secret.get_secret_value())
    others = os.environ.get("AELLE_HOSTS", "").split(",")
    guarded = Guard(app, names_of(PREFECT_SERVER_API_HOST.value(), others))
    config = uvicorn.Config(guarded, log_level="error", lifespan="on", timeout_graceful_shutdown=STOP_SECONDS - 2)
    with socket.socket(fileno=descriptor) as listening:
        Server(config).run(sockets=[listening])


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Servers that share a home start one after another: two that make or migrate its database at once break it."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "_aelle-server-start.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    typer.run(serve)
