"""Attacks on `aelle serve`: who has no password gets nowhere, and who has it runs the program's own flows alone."""

import stat
from pathlib import Path
from typing import Any

import httpx
import pytest

from fault_injection.api import SECONDS, ask
from tests.served.conftest import Served

pytestmark = pytest.mark.timeout(1800)
FOREIGN: dict[str, dict[str, str]] = {
    "no password": {},
    "a foreign page": {"Origin": "https://evil.example"},
    "a page without an origin": {"Origin": "null"},
    "a page of another port": {"Origin": "http://127.0.0.1:9"},
    "a foreign name": {"Host": "evil.example"},
    "a form": {"Content-Type": "text/plain"},
}


def shell(mark: Path) -> list[dict[str, Any]]:
    """Pull steps that leave a file."""
    return [{"prefect.deployments.steps.run_shell_script": {"script": f"touch {mark}"}}]


@pytest.mark.parametrize(
    ("kind", "signed_in"),
    [(kind, signed_in) for kind, headers in FOREIGN.items() for signed_in in (False, True) if headers or not signed_in],
)
def test_nobody_from_outside_changes_or_starts_anything(
    served: Served, tmp_path: Path, kind: str, signed_in: bool
) -> None:
    """Even a browser that gives the password to its own pages gives it to no other page, and no other name."""
    deployment = served.deployment("compact")["id"]
    runs = len(served.post("flow_runs/filter"))
    auth = tuple(served.secret.split(":")) if signed_in else None
    with httpx.Client(base_url=f"{served.url}/api/", timeout=SECONDS, headers=FOREIGN[kind], auth=auth) as foreign:  # type: ignore[arg-type]
        content = {"json": {"pull_steps": shell(tmp_path / "pwned")}}
        answers = [
            foreign.patch(f"deployments/{deployment}", **content),
            foreign.post(f"deployments/{deployment}/create_flow_run", json={"parameters": {"results": "none"}}),
            foreign.request("POST", "deployments/filter", content=b"{}"),
        ]
        preflight = foreign.options(f"deployments/{deployment}", headers={"Access-Control-Request-Method": "PATCH"})
    assert {answer.status_code for answer in answers} <= {401, 403, 415, 421}
    assert "access-control-allow-origin" not in {
        name.lower() for each in [*answers, preflight] for name in each.headers
    }
    assert len(served.post("flow_runs/filter")) == runs
    assert not served.deployment("compact")["pull_steps"]


def test_a_guessed_password_and_a_socket_of_a_foreign_page_are_refused(served: Served) -> None:
    guess = httpx.post(f"{served.url}/api/flow_runs/filter", json={}, auth=("aelle", "guess"), timeout=SECONDS)
    assert guess.status_code == httpx.codes.UNAUTHORIZED
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol": "prefect",
    }
    for foreign, code in (({"Origin": "https://evil.example"}, 403), ({}, 101)):
        with httpx.stream("GET", f"{served.url}/api/events/out", headers=upgrade | foreign, timeout=SECONDS) as answer:
            assert answer.status_code == code


def test_code_that_the_server_names_is_never_run(served: Served, tmp_path: Path) -> None:
    """With the password: pull steps, an entrypoint and a storage of somebody else's are on the server, and a run is
    asked for. Our own flow runs; theirs does not."""
    mark, wanted = tmp_path / "pwned", tmp_path / "theirs.py"
    wanted.write_text(
        f"from pathlib import Path\nPath({str(mark)!r}).touch()\nfrom prefect import flow\n@flow\ndef f(): pass\n"
    )
    deployment = served.deployment("compact")
    path = f"deployments/{deployment['id']}"
    changed = {
        "pull_steps": shell(mark),
        "entrypoint": f"{wanted}:f",
        "path": str(tmp_path),
        "job_variables": {"env": {"PYTHONPATH": str(tmp_path)}, "command": f"touch {mark}"},
    }
    before = {name: deployment[name] for name in ("pull_steps", "entrypoint", "path", "job_variables")}
    ask(served.api, "PATCH", path, json=changed).raise_for_status()
    try:
        assert served.deployment("compact")["pull_steps"]
        state = served.wait(served.submit("compact", results="nothing-here"))
    finally:
        ask(served.api, "PATCH", path, json=before).raise_for_status()
    assert state["type"] == "FAILED"
    assert "no study in" in state["message"], "our own flow has answered"
    assert not mark.exists()


def test_the_password_is_kept_for_its_owner_alone(served: Served) -> None:
    directory = Path(served.environment["PREFECT_HOME"]) / "aelle-serve"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    files = list(directory.iterdir())
    assert {path.suffix for path in files} == {"", ".link"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert served.sign_in == f"{served.url}/sign-in#{served.secret.replace(':', '%3A')}"


def test_the_page_that_signs_in_holds_no_password_and_the_interface_asks_where_it_was_asked_for(served: Served) -> None:
    page = httpx.get(f"{served.url}/sign-in", timeout=SECONDS)
    assert page.status_code == httpx.codes.OK
    assert served.secret not in page.text
    assert page.headers["cache-control"] == "no-store"
    elsewhere = served.url.replace("127.0.0.1", "localhost")
    for url in (served.url, elsewhere):
        assert httpx.get(f"{url}/ui-settings", timeout=SECONDS).json()["api_url"] == f"{url}/api"
