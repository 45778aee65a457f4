"""Several machines on this one: network namespaces joined by a switch, which see each other and nothing else."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.helpers.needs import tool


@dataclass(frozen=True)
class Host:
    """A network namespace with one address beside its loopback. The others find it by its name."""

    name: str
    namespace: str
    address: str
    mounts: dict[str, Path] = field(default_factory=dict)
    """Directories of this machine that programs on the host find elsewhere, each below a new, empty /run, /srv ..."""

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The command that runs `arguments` on this host."""
        roots = sorted({f"/{target.split('/')[1]}" for target in self.mounts})
        steps = [f"mount -t tmpfs tmpfs {root}" for root in roots]
        steps += [f"mkdir -p {target} && mount --bind {source} {target}" for target, source in self.mounts.items()]
        script = " && ".join([*steps, 'exec "$@"'])
        # A mount of ours is seen by this command and its children alone: `ip netns exec` gives them their own table.
        return ["ip", "netns", "exec", self.namespace, "sh", "-c", script, "sh", *arguments]

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> "subprocess.Popen[bytes]":
        """Run something on this host in the background; what it prints goes to `log`."""
        with log.open("ab") as output:
            return subprocess.Popen(
                self.command(arguments), env=dict(environment), stdout=output, stderr=subprocess.STDOUT
            )

    def run(self, arguments: Sequence[str], environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
        """Run something on this host to its end, five minutes at most."""
        return subprocess.run(
            self.command(arguments), env=dict(environment), capture_output=True, text=True, check=False, timeout=300
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


def wait_for(condition: object, seconds: float, what: object) -> None:
    """Ask again and again until `condition()` holds; fail with `what`, or what it returns, after `seconds`."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(0.2)


@contextmanager
def hosts(*names: str) -> Iterator[dict[str, Host]]:
    """Hosts of these names. Whatever still runs on them at the end is ended.

    Skips the test where network namespaces cannot be made; without iproute2 it fails where CI is set.
    """
    mark = f"aelle{os.getpid() % 100000}"
    switch = f"{mark}s"
    _make_or_skip(switch)
    made = {name: Host(name, f"{mark}n{number}", f"10.77.0.{number}") for number, name in enumerate(names, 1)}
    names_file = "127.0.0.1 localhost\n" + "".join(f"{host.address} {host.name}\n" for host in made.values())
    settings = [Path("/etc/netns") / host.namespace for host in made.values()]
    try:
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        for (number, host), directory in zip(enumerate(made.values(), 1), settings, strict=True):
            directory.mkdir(parents=True)
            (directory / "hosts").write_text(names_file)
            (directory / "resolv.conf").write_text("nameserver 127.0.0.1\n")  # says at once that it knows nothing
            _ip("netns", "add", host.namespace)
            _ip(
                "link",
                "add",
                "cable",
                "netns",
                host.namespace,
                "type",
                "veth",
                "peer",
                f"port{number}",
                "netns",
                switch,
            )
            _ip("-n", switch, "link", "set", f"port{number}", "master", "bridge", "up")
            _ip("-n", host.namespace, "address", "add", f"{host.address}/24", "dev", "cable")
            for link in ("lo", "cable"):
                _ip("-n", host.namespace, "link", "set", link, "up")
            # A way out, which leads nowhere: programs take the address on it for the host's own.
            _ip("-n", host.namespace, "route", "add", "default", "via", "10.77.0.254")
        yield made
    finally:
        here = [host for host in made.values() if (Path("/run/netns") / host.namespace).exists()]
        _stop(here, signal.SIGTERM, 8)
        _stop(here, signal.SIGKILL, 5)
        for namespace in [*(host.namespace for host in here), switch]:
            _ip("netns", "delete", namespace)
        for directory in settings:
            shutil.rmtree(directory, ignore_errors=True)


def _make_or_skip(namespace: str) -> None:
    for program in ("ip", "ss"):
        tool(program)
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    try:
        _ip("netns", "add", namespace)
    except subprocess.CalledProcessError as error:  # a sandbox: no package can cure that, so CI may lack them too
        pytest.skip(f"network namespaces cannot be made here: {error.stderr.strip()}")


def _stop(of: Sequence[Host], signal_number: int, patience: float) -> None:
    for host in of:
        for process in host.processes():
            try:
                os.kill(process, signal_number)
            except ProcessLookupError:
                continue
    deadline = time.monotonic() + patience
    while any(host.processes() for host in of) and time.monotonic() < deadline:
        time.sleep(0.1)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
