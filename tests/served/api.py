"""Prefect's API as the tests ask it."""

import time
from typing import Any

import httpx

SECONDS = 240  # generous: an answer takes one or two where nothing else runs


def ask(api: httpx.Client, method: str, path: str, **content: Any) -> httpx.Response:
    """The API's answer, whatever its status. A server under load asks to be asked again, and is."""
    deadline = time.monotonic() + SECONDS
    while True:
        answer = api.request(method, path, **content)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
            return answer
        time.sleep(1)
