"""Reports behind the server's password: who sees them, and what their pages may do."""

import asyncio
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from flows.report_link import SHOWN, report_link
from flows.served.reports import Reports

SECRET = "aelle:0123456789"
REPORT = b"<!doctype html><script>draw()</script>"


def ask(path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body; 299 where the request is passed on."""
    sent: list[Any] = []

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        sent.append({"status": 299, "headers": []})

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": pairs}
    asyncio.run(Reports(behind, SECRET)(scope, receive, send))
    answer_headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], answer_headers, b"".join(message.get("body", b"") for message in sent[1:])


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "runs"
    (root / "digits" / "analysis").mkdir(parents=True)
    (root / "digits" / "report.html").write_bytes(REPORT)
    (root / "digits" / "analysis" / "networks.csv").write_text("network\n")
    (tmp_path / "secret.csv").write_text("no")
    (root / "digits" / "out.csv").symlink_to(tmp_path / "secret.csv")
    monkeypatch.setenv("AELLE_RUNS", str(root))
    return root


def signed_in() -> str:
    status, headers, _ = ask("/reports/sign-in", "POST", authorization="Basic " + b64encode(SECRET.encode()).decode())
    assert status == 204
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/reports" in cookie
    assert "0123456789" not in cookie
    return cookie.partition(";")[0]


def test_other_paths_pass() -> None:
    for path in ("/api/flows", "/v2/deployments", "/reportsx/digits/report.html"):
        assert ask(path)[0] == 299


def test_a_report_is_shown_after_the_password_was_right_once(runs: Path) -> None:
    status, headers, body = ask("/reports/digits/report.html", cookie=signed_in())
    assert (status, body) == (200, REPORT)
    policy = headers["content-security-policy"]
    assert "sandbox" in policy
    assert "allow-same-origin" not in policy  # the password that the browser keeps is out of its reach
    assert "script-src 'unsafe-inline'" in policy
    assert "img-src data:" in policy
    assert "connect-src" not in policy  # default-src 'none'
    status, headers, body = ask("/reports/digits/analysis/networks.csv", cookie=signed_in())
    assert (status, body, headers["content-disposition"]) == (200, b"network\n", "attachment")


@pytest.mark.parametrize("cookie", ["", "aelle-reports=", "aelle-reports=0", "other=1", "aelle-reports=é; =;"])
def test_without_the_cookie_a_page_asks_the_browser_for_its_password(runs: Path, cookie: str) -> None:
    status, headers, body = ask("/reports/digits/report.html", cookie=cookie)
    assert status == 401
    assert REPORT not in body
    match = re.search(rb"<script>(.*)</script>", body, re.DOTALL)
    assert match is not None
    digest = b64encode(sha256(match[1]).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in headers["content-security-policy"]


@pytest.mark.parametrize(
    "authorization", ["", "Basic", "Basic !", "Bearer YWVsbGU6MDEyMzQ1Njc4OQ==", "Basic YWVsbGU6MQ=="]
)
def test_a_wrong_password_gets_no_cookie(authorization: str) -> None:
    status, headers, _ = ask("/reports/sign-in", "POST", authorization=authorization)
    assert status == 401
    assert "set-cookie" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/reports/",
        "/reports/digits",
        "/reports/digits/",
        "/reports/digits/study.json",
        "/reports/digits/../../secret.csv",
        "/reports/digits/%2e%2e/%2e%2e/secret.csv",
        "/reports/../secret.csv",
        "/reports/digits/out.csv",
        "/reports/digits//secret.csv",
        "/reports/digits/\0.csv",
        "/reports/none/report.html",
        "/reports/.hidden/report.html",
    ],
)
def test_nothing_else_is_shown(runs: Path, path: str) -> None:
    assert ask(path, cookie=signed_in())[0] == 404


def test_only_a_run_of_a_server_that_shows_reports_names_its_own(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aelle_core.study import RunDirectory

    run = RunDirectory(str(runs / "digits"))
    assert report_link(run) is None
    monkeypatch.setenv(SHOWN, "1")
    assert report_link(run) == "/reports/digits/report.html"
    assert report_link(RunDirectory(str(runs.parent / "digits"))) is None
