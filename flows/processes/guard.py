"""What stands before Prefect's API and interface: it lets in requests that name this server, from its own pages."""

import json
import socket
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from hashlib import sha256
from typing import Any

import psutil

SIGN_IN = "/sign-in"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_EVERY_INTERFACE = ("0.0.0.0", "::")
_WITH_BODY = ("POST", "PUT", "PATCH")
_JSON = "application/json"

# Prefect's interface keeps the password, as it sends it, under this name. What follows # in an address stays in the
# browser: no log of a server or a proxy has it.
_SCRIPT = """
const secret = decodeURIComponent(location.hash.slice(1));
if (secret) localStorage.setItem("prefect-password", btoa(secret));
location.replace("/v2/deployments");
"""
_PAGE = f"<!doctype html><title>AeLLE: signing in</title><script>{_SCRIPT}</script>".encode()
_PAGE_HEADERS = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'sha256-" + b64encode(sha256(_SCRIPT.encode()).digest()) + b"'",
    ),
]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


def names_of(host: str, others: Iterable[str] = ()) -> frozenset[str]:
    """Return the names by which a server that listens on `host` may be addressed: its own, loopback's (a tunnel ends
    there), and, where it listens beyond loopback, those of this machine; `others` as well."""
    names = {host, *_LOOPBACK, *others}
    if host in _EVERY_INTERFACE:
        names |= {address.address.split("%")[0] for several in psutil.net_if_addrs().values() for address in several}
    if host not in _LOOPBACK:
        names |= {socket.gethostname(), socket.getfqdn()}
    return frozenset(name.strip().lower() for name in names if name.strip())


class Guard:
    """An ASGI application that passes on to another what is meant for it.

    Refused are a Host that is none of `names` (a name that a foreign page has pointed at this address), an Origin other
    than that Host (a foreign page), and a body that is not declared as JSON, which a page may send without asking.
    Nothing foreign reads an answer either: there are no CORS headers but for the server's own address. The interface
    asks for its API where it was itself asked for, whatever name that was.
    """

    def __init__(self, app: App, names: Iterable[str]) -> None:
        self._app = app
        self._names = frozenset(names)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if refusal := self._refusal(scope, headers):
            await _refuse(scope, receive, send, *refusal)
        elif scope["type"] == "http" and scope["path"] == SIGN_IN:
            await answer(send, 200, _PAGE, _PAGE_HEADERS)
        elif scope["type"] == "http" and scope["path"].endswith("/ui-settings"):
            plain = [header for header in scope["headers"] if header[0].lower() != b"accept-encoding"]
            renamed = _Renamed(send, f"{scope['scheme']}://{headers['host']}/api")
            await self._app({**scope, "headers": plain}, receive, renamed)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, scope: Message, headers: dict[str, str]) -> tuple[int, str] | None:
        hosts = [value for name, value in scope["headers"] if name.lower() == b"host"]
        if len(hosts) != 1 or _name(headers["host"]) not in self._names:
            return 421, "this server has another name: expected one of those that it listens on, or of AELLE_HOSTS"
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != headers["host"].lower():
            return 403, "a page of another origin asks: expected one of this server"
        kind = headers.get("content-type", _JSON).partition(";")[0].strip().lower()
        if scope["type"] == "http" and scope["method"] in _WITH_BODY and kind != _JSON:
            return 415, f"the body is declared as something else: expected {_JSON}"
        return None


class _Renamed:
    """Sends on what the interface asks for at its start, with the API's address replaced."""

    def __init__(self, send: Send, url: str) -> None:
        self._send, self._url = send, url
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        assert self._start is not None
        try:
            settings = json.loads(self._body)
        except ValueError:  # not Prefect's settings but an error
            settings = None
        if isinstance(settings, dict) and "api_url" in settings:
            self._body = json.dumps(settings | {"api_url": self._url}).encode()
            kept = [header for header in self._start["headers"] if header[0].lower() != b"content-length"]
            self._start["headers"] = [*kept, (b"content-length", str(len(self._body)).encode())]
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": self._body})


def _name(host: str) -> str:
    """Return the name in a Host header, without its port."""
    host = host.strip().lower()
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


async def _refuse(scope: Message, receive: Receive, send: Send, status: int, reason: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": reason})
        return
    body = json.dumps({"exception_message": reason}).encode()
    await answer(send, status, body, [(b"content-type", b"application/json")])


async def answer(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """Send a whole answer."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
