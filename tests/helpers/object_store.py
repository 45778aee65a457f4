"""An S3 server for tests: moto's, on loopback, with a hook for faults between it and who asks."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

Environment = dict[str, Any]
Answer = tuple[int, str]
"""An HTTP status and the code in S3's error message."""


@dataclass
class ObjectStore:
    """A running server. `fault` sees every request before it is served: what it returns is answered instead, and what
    it raises breaks the connection."""

    port: int = 0
    fault: Callable[[Environment], Answer | None] | None = None
    requests: list[tuple[str, str, str]] = field(default_factory=list)

    def address(self, bucket: str, prefix: str = "") -> str:
        """The address of a prefix in a bucket of this server."""
        path = "/".join(filter(None, (bucket, prefix)))
        return f"s3://{path}?endpoint_override=127.0.0.1%3A{self.port}&region=us-east-1&scheme=http"

    def client(self) -> Any:
        """Amazon's own client of this server: what others than this project see."""
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{self.port}", region_name="us-east-1", **keys)

    def make_bucket(self, name: str) -> None:
        """Make a bucket."""
        self.client().create_bucket(Bucket=name)

    def keys(self, bucket: str) -> list[str]:
        """The keys of all objects in a bucket that are not empty."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [entry["Key"] for page in pages for entry in page.get("Contents", []) if entry["Size"]]

    @contextmanager
    def failing(self, fault: Callable[[Environment], Answer | None]) -> Iterator[None]:
        """Answer with that fault for the block."""
        self.fault = fault
        try:
            yield
        finally:
            self.fault = None

    def application(self, served: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
        """The server's WSGI application around moto's."""

        def answer(environment: Environment, start: Callable[..., Any]) -> Iterable[bytes]:
            method, path, query = (environment[name] for name in ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING"))
            self.requests.append((method, path, query))
            if self.fault is not None and (fault := self.fault(environment)) is not None:
                environment["wsgi.input"].read(int(environment.get("CONTENT_LENGTH") or 0))
                start(f"{fault[0]} Fault", [("Content-Type", "application/xml")])
                return [f"<Error><Code>{fault[1]}</Code><Message>no</Message></Error>".encode()]
            return served(environment, start)

        return answer


@contextmanager
def running_object_store() -> Iterator[ObjectStore]:
    """A server for the block."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    store = ObjectStore()
    server = make_server(
        "127.0.0.1", 0, store.application(DomainDispatcherApplication(create_backend_app)), threaded=True
    )
    store.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        thread.join()
