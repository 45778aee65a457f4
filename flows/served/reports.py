"""Reports of finished runs, shown by the server that ran them, to those who may use its forms.

Prefect's interface keeps the password in the browser and sends it with each question to the API; a page that is opened
sends nothing. So whoever opens a report for the first time gets a small page that hands the password over once, for a
cookie that says no more than that it was right.
"""

import asyncio
import hmac
from base64 import b64decode, b64encode
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import unquote

from aelle_core.files.places import place
from aelle_core.foundation.errors import UserError
from flows.processes.guard import App, Message, Receive, Send, answer
from flows.report_link import REPORTS
from flows.served.settings import ServedSettings

_SIGN_IN = f"{REPORTS}/sign-in"
_COOKIE = "aelle-reports"
_KINDS = {
    "html": b"text/html; charset=utf-8",
    "csv": b"text/csv; charset=utf-8",
    "parquet": b"application/vnd.apache.parquet",
    "safetensors": b"application/octet-stream",
}

_SCRIPT = f"""
const password = localStorage.getItem("prefect-password");
const say = text => {{ document.body.textContent = text; }};
if (!password) say("This browser is not signed in: open the link that aelle serve has named, then this page again.");
else fetch("{_SIGN_IN}", {{method: "POST", headers: {{"authorization": "Basic " + password,
  "content-type": "application/json"}}, body: "{{}}"}})
  .then(answer => answer.ok ? location.reload() : say("The password that this browser keeps is not this server's."));
"""
_PAGE = f"<!doctype html><title>AeLLE: opening a report</title><body><script>{_SCRIPT}</script>".encode()
_ALWAYS = [
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]
_PAGE_POLICY = (
    b"default-src 'none'; connect-src 'self'; frame-ancestors 'none'; script-src 'sha256-"
    + b64encode(sha256(_SCRIPT.encode()).digest())
    + b"'"
)
# The report's own script runs, but as a page of nowhere: it reaches neither the password nor the API, and fetches
# nothing.
_REPORT_POLICY = (
    b"sandbox allow-scripts allow-downloads allow-popups; default-src 'none'; script-src 'unsafe-inline'; "
    b"style-src 'unsafe-inline'; img-src data:; font-src data:; frame-ancestors 'none'"
)


class Reports:
    """An ASGI application that answers for reports, and passes everything else on to another.

    `secret` is what the server asks for, name:password.
    """

    def __init__(self, app: App, secret: str) -> None:
        self._app, self._secret = app, secret
        self._token = hmac.new(secret.encode(), REPORTS.encode(), sha256).hexdigest()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http" or not scope["path"].startswith(f"{REPORTS}/"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if scope["path"] == _SIGN_IN and scope["method"] == "POST":
            await self._sign_in(headers.get("authorization", ""), send)
        elif scope["method"] != "GET":
            await answer(send, 405, b"", _ALWAYS)
        elif not self._is_signed_in(headers.get("cookie", "")):
            policy = (b"content-security-policy", _PAGE_POLICY)
            await answer(send, 401, _PAGE, [*_ALWAYS, policy, (b"content-type", _KINDS["html"])])
        else:
            await self._show(unquote(scope["path"]).removeprefix(f"{REPORTS}/"), send)

    async def _sign_in(self, authorization: str, send: Send) -> None:
        scheme, _, given = authorization.partition(" ")
        try:
            right = scheme.lower() == "basic" and hmac.compare_digest(b64decode(given), self._secret.encode())
        except ValueError:  # not base64
            right = False
        if not right:
            await answer(send, 401, b"", _ALWAYS)
            return
        cookie = f"{_COOKIE}={self._token}; Path={REPORTS}; HttpOnly; SameSite=Lax"
        await answer(send, 204, b"", [*_ALWAYS, (b"set-cookie", cookie.encode())])

    def _is_signed_in(self, cookies: str) -> bool:
        try:
            held = SimpleCookie(cookies).get(_COOKIE)
        except CookieError:
            return False
        return held is not None and hmac.compare_digest(held.value.encode(), self._token.encode())

    async def _show(self, path: str, send: Send) -> None:
        kind = _KINDS.get(path.rpartition(".")[2])
        content = None if kind is None else await asyncio.to_thread(_read, path)
        if kind is None or content is None:
            text = b"There is no such report: it has not been written, or its results were removed."
            await answer(send, 404, text, [*_ALWAYS, (b"content-type", b"text/plain; charset=utf-8")])
            return
        headers = [*_ALWAYS, (b"content-type", kind), (b"content-security-policy", _REPORT_POLICY)]
        if kind != _KINDS["html"]:
            headers.append((b"content-disposition", b"attachment"))
        await answer(send, 200, content, headers)


def _read(path: str) -> bytes | None:
    """Return the file of a run that a report links to, or the report; None where there is none."""
    name, _, file = path.partition("/")
    parts = file.split("/")
    if not file or any(part in ("", ".", "..") or "\0" in part for part in parts):
        return None
    try:
        root = place(ServedSettings().results(name))
        wanted = root / file
        if isinstance(wanted, Path) and not wanted.resolve().is_relative_to(Path(str(root)).resolve()):
            return None  # through a link
        return wanted.read_bytes()
    except (UserError, OSError):
        return None
