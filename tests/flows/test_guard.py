"""What stands before a Prefect server, and where its password is kept."""

import asyncio
import stat
from pathlib import Path
from typing import Any

import pytest

from aelle_core.foundation.errors import UserError
from flows.processes.guard import Guard, names_of
from flows.processes.secret import kept_secret, known_secret, secret_file, write_private


def status(guard_names: Any, method: str = "GET", kind: str = "http", **headers: str) -> int:
    """What the guard answers; 200 where it passes the request on."""
    statuses: list[Any] = []

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        statuses.append(200)

    async def receive() -> Any:
        return {"type": f"{kind}.connect"}

    async def send(message: Any) -> None:
        statuses.append(message.get("status", message.get("code")))

    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": kind, "method": method, "path": "/api/flows", "scheme": "http", "headers": pairs}
    asyncio.run(Guard(behind, guard_names)(scope, receive, send))
    return int(statuses[0])


def test_a_request_passes_that_names_this_server() -> None:
    names = names_of("127.0.0.1")
    for host in ("127.0.0.1:4200", "localhost:4200", "LOCALHOST", "[::1]:4200", "127.0.0.1:5000"):
        assert status(names, host=host) == 200, host
        assert status(names, host=host, origin=f"http://{host}") == 200, host
    for host in ("evil.example:4200", "127.0.0.1.evil.example", "", "localhost.", "10.0.0.1"):
        assert status(names, host=host) == 421, host
    assert status(names) == 421


def test_pages_of_others_are_refused_whatever_they_ask_for() -> None:
    names = names_of("127.0.0.1")
    for origin in ("http://evil.example", "null", "http://localhost:4200", "http://127.0.0.1:4201", ""):
        for kind, code in (("http", 403), ("websocket", 1008)):
            assert status(names, kind=kind, host="127.0.0.1:4200", origin=origin) == code, origin


def test_bodies_are_json() -> None:
    names = names_of("127.0.0.1")
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        assert status(names, "POST", host="localhost", content_type=kind) == 415, kind
    assert status(names, "PATCH", host="localhost", content_type="application/json; charset=utf-8") == 200


def test_a_server_for_other_machines_has_their_names_for_it_and_those_of_its_owner() -> None:
    assert status(names_of("0.0.0.0", ["aelle.example"]), host="aelle.example") == 200
    assert status(names_of("0.0.0.0"), host="aelle.example") == 421


def test_a_password_is_made_once_and_found_by_the_address_of_this_machine_alone(tmp_path: Path) -> None:
    secret = kept_secret(tmp_path, 4200)
    assert kept_secret(tmp_path, 4200) == secret
    assert kept_secret(tmp_path, 4201) != secret
    assert len(secret) > 40
    assert stat.S_IMODE(secret_file(tmp_path, 4200).stat().st_mode) == 0o600
    for url in ("http://127.0.0.1:4200/api", "http://localhost:4200/api", "http://[::1]:4200/api"):
        assert known_secret(tmp_path, url) == secret
    for url in (
        "http://evil.example:4200/api",
        "http://192.0.2.1:4200/api",
        "http://127.0.0.1:4999/api",
        "http://x/api",
    ):
        assert known_secret(tmp_path, url) is None


def test_a_password_that_others_can_read_or_have_planted_is_refused(tmp_path: Path) -> None:
    kept_secret(tmp_path, 4200)
    secret_file(tmp_path, 4200).chmod(0o644)
    with pytest.raises(UserError, match="can be read by others"):
        kept_secret(tmp_path, 4200)
    (tmp_path / "planted").write_text("aelle:known")
    secret_file(tmp_path, 4201).symlink_to(tmp_path / "planted")
    with pytest.raises(UserError, match="can be read by others"):
        kept_secret(tmp_path, 4201)
    write_private(secret_file(tmp_path, 4201), "aelle:new")
    assert (tmp_path / "planted").read_text() == "aelle:known"
