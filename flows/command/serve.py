"""The command `aelle serve`."""

from pathlib import Path
from typing import Annotated

import typer

from flows.command.options import Address

Host = Annotated[str, typer.Option(help="Address to listen on; others than loopback only with authentication.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")]
Runs = Annotated[
    str | None, typer.Option(help="Directory or s3:// address below which results go; AELLE_RUNS, or runs, by default.")
]
DataRoot = Annotated[
    Path | None, typer.Option("--data", help="Directory below which forms may name data; AELLE_DATA by default.")
]
Limit = Annotated[int, typer.Option(min=1, help="Runs at a time; others wait.")]
Nightly = Annotated[
    str | None, typer.Option(help="Run `nightly` by this cron expression, such as '0 2 * * *'; not at all without it.")
]
TimeZone = Annotated[
    str | None,
    typer.Option(help="Time zone of the schedule and the nights' dates; AELLE_TIMEZONE, or UTC, by default."),
]


def serve(
    host: Host = "127.0.0.1",
    port: Port = 4200,
    runs: Runs = None,
    data: DataRoot = None,
    address: Address = None,
    limit: Limit = 2,
    nightly: Nightly = None,
    timezone: TimeZone = None,
) -> None:
    """Offer studies, your own data, forecasters, screening and nights as forms in Prefect's web interface.

    Runs what is submitted.

    Joins the Prefect server at PREFECT_API_URL, or starts one here. Stays until it is stopped.

    Examples:

    `aelle serve`

    `aelle serve --runs /data/runs --data /data --nightly "0 2 * * *" --timezone Europe/Berlin`
    """
    from aelle_core.foundation.extras import require
    from aelle_core.foundation.plugins import load

    require("studies", "`aelle serve`")
    load()  # before a server is started
    from flows.served.serving import Options, serve_deployments

    given = {"runs": runs, "data": data, "ray_address": address, "timezone": timezone}
    settings = {name: str(value) for name, value in given.items() if value is not None}
    serve_deployments(Options(host, port, limit, nightly), settings)
