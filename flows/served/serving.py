"""A Prefect server, the deployments on it, and the process that runs what is submitted to them."""

import asyncio
import ipaddress
import os
import sys
from collections.abc import Mapping
from contextlib import chdir, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import typer

from aelle_core.foundation.errors import UserError
from flows.processes.client import named_server, prefect_home
from flows.processes.environment import prepare_prefect, prepare_ray
from flows.processes.secret import kept_secret, known_secret, link_file, sign_in_link, write_private
from flows.processes.served_by import serve_from_here
from flows.processes.server import prefect_server
from flows.processes.stale_runs import crash_without_heartbeats
from flows.report_link import SHOWN


@dataclass(frozen=True)
class Options:
    """Where the server listens, how many runs go on at a time, and when nights begin (a cron expression)."""

    host: str
    port: int
    limit: int
    nightly: str | None = None


def serve_deployments(options: Options, settings: Mapping[str, str]) -> None:
    """Serve until this process is stopped. `settings` overrule those of the environment; see ServedSettings.

    Raises UserError, before anything is started, on a host that others can reach and no authentication, and on a
    directory, a cron expression or a time zone that cannot be.
    """
    check_host(options.host)
    prepare_prefect()
    prepare_ray(local=False)
    from flows.served.settings import ServedSettings

    os.environ |= {f"AELLE_{name.upper()}": value for name, value in settings.items()}
    held = ServedSettings()
    held.check()
    # Runs are other processes: what they read must not depend on where they are started.
    os.environ |= {f"AELLE_{name.upper()}": value for name, value in held.absolute().items()}
    if home := os.environ.get("PREFECT_HOME"):
        os.environ["PREFECT_HOME"] = str(Path(home).expanduser().resolve())
    if options.nightly is not None:
        check_cron(options.nightly)
    own = named_server() is None  # another's server shows no reports
    with prefect_server(options.host, options.port, interface=True) as url:
        from prefect.exceptions import TerminationSignal

        from flows.served.deployments import deployments
        from flows.served.runner import OwnFlowsRunner

        if own:
            os.environ[SHOWN] = "1"
        crash_without_heartbeats()
        serve_from_here()
        runner = OwnFlowsRunner(limit=options.limit)
        for deployment in deployments(options.nightly, held.timezone):
            runner.offer(deployment)
        typer.echo(f"forms: {url.removesuffix('/api')}/v2/deployments")
        if how := how_to_sign_in(url):
            typer.echo(how)
        typer.echo(f"results: {os.environ['AELLE_RUNS']}")
        # Prefect imports a flow from the folder that it runs in first, which may hold a `flows` of another project.
        with suppress(KeyboardInterrupt, TerminationSignal), TemporaryDirectory() as empty, chdir(empty):
            asyncio.run(runner.start())


def how_to_sign_in(url: str) -> str:
    """Keep the link that signs a browser in beside the password, and say where; on a terminal, the link itself.

    Nothing where the password is the user's own, or the server another's. What is printed elsewhere may lie in a log
    that others read.
    """
    home, port = prefect_home(), urlsplit(url).port
    if port is None or os.environ.get("PREFECT_API_AUTH_STRING") != known_secret(home, url):
        return ""
    link = sign_in_link(url, kept_secret(home, port))
    write_private(link_file(home, port), link)
    return f"sign in: {link}" if sys.stdout.isatty() else f"sign in: by the link in {link_file(home, port)}"


def check_host(host: str) -> None:
    """Raise UserError unless the host is loopback or the server asks for authentication."""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError as error:
        raise UserError(
            f"--host {host!r}: expected an address of this machine, such as 127.0.0.1 or 0.0.0.0"
        ) from error
    if not loopback and not os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):
        raise UserError(
            f"--host {host!r} lets other machines in: expected a loopback address, or "
            "PREFECT_SERVER_API_AUTH_STRING set to name:password"
        )


def check_cron(expression: str) -> None:
    """Raise UserError unless this is a cron expression of five fields."""
    from prefect.client.schemas.schedules import CronSchedule
    from pydantic import ValidationError

    try:
        CronSchedule(cron=expression)
    except ValidationError as error:
        raise UserError(f"--nightly {expression!r}: expected a cron expression such as '0 2 * * *'") from error
