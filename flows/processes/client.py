"""What this process, as a client, knows of a Prefect server: which one is named, and the password that it asks for."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aelle_core.foundation.errors import UserError
from flows.processes.secret import known_secret


def named_server() -> str | None:
    """Return the address that PREFECT_API_URL or Prefect's profile names, if any."""
    if url := os.environ.get("PREFECT_API_URL"):
        return url
    from prefect.settings import PREFECT_API_URL

    return PREFECT_API_URL.value()


def kept_for(url: str) -> dict[str, str]:
    """Return the setting that has this process give the password that is kept for a server, where it knows no other."""
    from prefect.settings import PREFECT_API_AUTH_STRING

    if os.environ.get("PREFECT_API_AUTH_STRING") or PREFECT_API_AUTH_STRING.value():
        return {}
    secret = known_secret(prefect_home(), url)
    return {} if secret is None else {"PREFECT_API_AUTH_STRING": secret}


def check_password(url: str) -> None:
    """Raise UserError where the server at `url` asks for another password than this process gives."""
    from httpx import codes
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectHTTPStatusError

    try:
        with get_client(sync_client=True) as client:
            client.request("GET", "/admin/version")
    except PrefectHTTPStatusError as error:
        if error.response.status_code != codes.UNAUTHORIZED:
            raise
        raise UserError(
            f"PREFECT_API_URL={url!r}: the server there asks for another password: expected its own in "
            "PREFECT_API_AUTH_STRING, as name:password"
        ) from error


def prefect_home() -> Path:
    """Return the directory of Prefect's data."""
    from prefect.settings import PREFECT_HOME

    return Path(PREFECT_HOME.value())


@contextmanager
def environment(settings: dict[str, str]) -> Iterator[None]:
    """Put the settings into this process' environment for the block, and into Prefect's, which reads it only once."""
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
