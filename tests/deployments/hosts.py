"""Two machines on this one: network namespaces that see each other and nothing else."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Host:
    """A network namespace with one address beside its loopback."""

    namespace: str
    address: str

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The command that runs `arguments` on this host."""
        return ["ip", "netns", "exec", self.namespace, *arguments]

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> "subprocess.Popen[bytes]":
        """Run something on this host in the background; what it prints goes to `log`."""
        with log.open("wb") as output:
            return subprocess.Popen(
                self.command(arguments), env=dict(environment), stdout=output, stderr=subprocess.STDOUT
            )

    def processes(self) -> list[int]:
        """The ids of all processes on this host."""
        listed = subprocess.run(["ip", "netns", "pids", self.namespace], capture_output=True, text=True, check=True)
        return [int(number) for number in listed.stdout.split()]

    def listening(self) -> set[tuple[str, int]]:
        """Address and port of everything on this host that listens on TCP."""
        listed = subprocess.run(self.command(["ss", "-Hltn"]), capture_output=True, text=True, check=True)
        places = (line.split()[3].rsplit(":", 1) for line in listed.stdout.splitlines())
        return {(address.strip("[]"), int(port)) for address, port in places}


def _stop(host: Host, patience: float) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + patience
        for process in host.processes():
            try:
                os.kill(process, number)
            except ProcessLookupError:
                continue
        while host.processes() and time.monotonic() < deadline:
            time.sleep(0.1)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Two hosts joined by a cable. Whatever still runs on them at the end is ended."""
    refusal = None
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("ss"):
        refusal = "network namespaces need root and iproute2"
    mark = f"aelle{os.getpid() % 100000}"
    hosts = Host(f"{mark}a", "10.77.0.1"), Host(f"{mark}b", "10.77.0.2")
    if refusal is None:
        try:
            _ip("netns", "add", hosts[0].namespace)
        except subprocess.CalledProcessError as error:
            refusal = f"network namespaces cannot be made here: {error.stderr.strip()}"
    if refusal is not None:
        if os.environ.get("CI"):
            pytest.fail(refusal)
        pytest.skip(refusal)
    try:
        _ip("netns", "add", hosts[1].namespace)
        ends = [f"{mark}{letter}" for letter in "xy"]
        _ip(
            "link",
            "add",
            ends[0],
            "netns",
            hosts[0].namespace,
            "type",
            "veth",
            "peer",
            ends[1],
            "netns",
            hosts[1].namespace,
        )
        for host, end in zip(hosts, ends, strict=True):
            _ip("-n", host.namespace, "address", "add", f"{host.address}/24", "dev", end)
            for link in ("lo", end):
                _ip("-n", host.namespace, "link", "set", link, "up")
        yield hosts
    finally:
        for host in hosts:
            if (Path("/run/netns") / host.namespace).exists():
                _stop(host, 8)
                _ip("netns", "delete", host.namespace)
