"""Prefect's API as the tests ask it, and where a started `aelle serve` says that it is."""

import time
from pathlib import Path
from typing import Any, NamedTuple

import httpx

SECONDS = 240  # generous: an answer takes one or two where nothing else runs


def ask(api: httpx.Client, method: str, path: str, **content: Any) -> httpx.Response:
    """Return the API's answer, whatever its status. A server under load asks to be asked again, and is."""
    deadline = time.monotonic() + SECONDS
    while True:
        answer = api.request(method, path, **content)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
            return answer
        time.sleep(1)


class Said(NamedTuple):
    """What `aelle serve` has printed once it serves: its server's address, and the file of the link that signs in."""

    url: str
    link: Path

    @property
    def secret(self) -> str:
        """The password, name:password."""
        return self.link.with_suffix("").read_text().strip()

    def client(self) -> httpx.Client:
        """Return a client of the API that gives the password."""
        name, password = self.secret.split(":")
        return httpx.Client(base_url=f"{self.url}/api/", auth=(name, password), timeout=SECONDS)


def said_by_serve(printed: str) -> Said | None:
    """Return what a started `aelle serve` has printed; None until it serves."""
    if "results: " not in printed:
        return None
    said = dict(line.split(": ", 1) for line in printed.splitlines() if ": " in line)
    return Said(said["forms"].removesuffix("/v2/deployments"), Path(said["sign in"].removeprefix("by the link in ")))
