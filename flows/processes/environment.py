"""Settings of Prefect and Ray that hold unless the user has set others. No import of either happens here."""

import os
import secrets

from flows.processes.ray_directory import own_directory

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def prepare_prefect() -> None:
    """Before prefect is imported: a quiet console (logs and tracebacks are kept by its API), no analytics, requests
    that are tried again while its server is away, slots that outlive a server, and heartbeats of runs."""
    defaults = {
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # In memory, by default: a night would then lose its slot, and end, when the server is started again.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_CLIENT_MAX_RETRIES": "7",  # after 2, 4, 8 ... seconds: four minutes in all
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_FLOW_RUNS_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_SERVER_LEVEL": "ERROR",
        "DO_NOT_TRACK": "1",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    keep_loopback_from_proxies()


def keep_loopback_from_proxies() -> None:
    """Have no client in this process and its children send to a proxy (HTTP_PROXY) what is for this machine."""
    given = [os.environ[name] for name in ("no_proxy", "NO_PROXY") if os.environ.get(name)]
    kept = [part.strip() for value in given for part in value.split(",") if part.strip()]
    value = "*" if "*" in kept else ",".join(dict.fromkeys([*kept, *_LOOPBACK]))
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = value  # programs differ in which of the two they read


def prepare_ray(local: bool) -> None:
    """Before ray is imported: token authentication (a fresh token for a local cluster) and no usage statistics; a local
    cluster listens on loopback, and its sockets and logs lie in a directory of this user's own.

    Raises UserError where there can be no such directory.
    """
    keep_loopback_from_proxies()
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # A thread that outlives its cluster must not start another one by calling ray.
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if local:
        if not os.environ.get("RAY_TMPDIR"):
            os.environ["RAY_TMPDIR"] = str(own_directory())
        # Ray replaces a node's address 127.0.0.1 by one that other machines reach, unless clusters are not enabled.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    if local and os.environ["RAY_AUTH_MODE"] == "token":
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
