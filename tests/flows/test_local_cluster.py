"""The local Ray cluster: its start, its death, its directory; and what HTTP_PROXY and hang-ups may not do."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from aelle_core.foundation.errors import UserError
from flows.processes import ray_directory
from flows.processes.environment import keep_loopback_from_proxies
from flows.processes.local_cluster import ClusterError, LocalCluster, check_cluster
from flows.processes.ray_directory import own_directory
from tests.helpers.command import aelle


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[Exception | None]:
    """What the next starts of Ray do: fail with an error, or succeed."""
    import ray

    planned: list[Exception | None] = []

    def init(**options: Any) -> None:
        if (error := planned.pop(0)) is not None:
            raise error

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr("flows.processes.local_cluster._parts", dict)
    monkeypatch.setattr(LocalCluster, "running", None)
    return planned


SLOW = Exception("The current node timed out during startup. This could happen because ...")


def test_a_start_of_ray_that_times_out_is_tried_again(starts: list[Exception | None]) -> None:
    starts += [SLOW, SLOW, None]
    assert LocalCluster.start() is LocalCluster.running
    assert not starts


def test_starts_that_always_time_out_end_in_one_sentence(starts: list[Exception | None]) -> None:
    starts += [SLOW, SLOW, SLOW]
    with pytest.raises(
        ClusterError, match="could not be started on this machine in 3 attempts: The current node"
    ) as refused:
        LocalCluster.start()
    assert "\n" not in str(refused.value)
    assert LocalCluster.running is None


def test_a_wrong_option_is_not_tried_again(starts: list[Exception | None]) -> None:
    starts += [ValueError("no such option"), None]
    with pytest.raises(ValueError, match="no such option"):
        LocalCluster.start()
    assert starts == [None]


def test_a_part_that_ended_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as part:
        monkeypatch.setattr(LocalCluster, "running", LocalCluster({"raylet": psutil.Process(part.pid)}))
        check_cluster()
        part.kill()
        os.waitid(os.P_PID, part.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has asked how
        with pytest.raises(ClusterError, match="the local Ray cluster has died: its raylet ended"):
            check_cluster()


@pytest.mark.parametrize("kind", ["LocalRayletDiedError", "NodeDiedError"])
def test_packs_that_fail_as_their_only_node_is_lost_are_not_to_blame(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine with too much to do Ray takes its own node for dead while all its processes live."""
    import ray

    failure = {
        "LocalRayletDiedError": ray.exceptions.LocalRayletDiedError(),
        "NodeDiedError": ray.exceptions.NodeDiedError("lost"),
    }[kind]
    monkeypatch.setattr(LocalCluster, "running", LocalCluster({"raylet": psutil.Process()}))
    with pytest.raises(ClusterError, match="the local Ray cluster has died: "):
        check_cluster(failure)
    monkeypatch.setattr(LocalCluster, "running", None)  # on another cluster packs go on on its other nodes
    check_cluster(failure)


def test_rays_directory_is_its_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_directory.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(ray_directory, "_LONGEST", 200)
    directory = own_directory()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    directory.chmod(0o777)
    assert own_directory() == directory
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_directory_that_somebody_has_planted_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_directory.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(ray_directory, "_LONGEST", 200)
    (tmp_path / "theirs").mkdir()
    (tmp_path / f"aelle-{os.geteuid()}").symlink_to(tmp_path / "theirs")
    with pytest.raises(UserError, match="belongs to somebody else"):
        own_directory()
    monkeypatch.setattr(ray_directory, "_LONGEST", 40)
    monkeypatch.setattr(ray_directory.tempfile, "gettempdir", lambda: str(tmp_path / ("long" * 20)))
    with pytest.raises(UserError, match="too long for the names of Ray's sockets"):
        own_directory()


@pytest.mark.parametrize(
    ("given", "expected"),
    [("", "127.0.0.1,localhost,::1"), ("a.example, b", "a.example,b,127.0.0.1,localhost,::1"), ("*", "*")],
)
def test_loopback_never_goes_through_a_proxy(given: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx

    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", given)
    keep_loopback_from_proxies()
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == expected
    keep_loopback_from_proxies()
    assert os.environ["no_proxy"] == expected
    with httpx.Client() as client:
        for host in ("127.0.0.1", "localhost", "[::1]"):
            assert client._transport_for_url(httpx.URL(f"http://{host}:4200/api")) is client._transport


HANG_UP = """
import os, signal, sys
from flows.processes.interruption import exiting_on_signals
with exiting_on_signals("kept"):
    os.kill(os.getpid(), signal.SIGHUP)
print("went on")
"""


@pytest.mark.parametrize(("before", "code", "said"), [("nohup", 0, "went on"), (None, 128 + signal.SIGHUP, "")])
def test_a_hang_up_that_nohup_ignores_stays_ignored(before: str | None, code: int, said: str) -> None:
    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN if before else signal.SIG_DFL)

    done = subprocess.run(
        [sys.executable, "-c", HANG_UP], capture_output=True, text=True, check=False, preexec_fn=ignore, timeout=240
    )
    assert (done.returncode, done.stdout.strip()) == (code, said), done.stderr


def test_a_user_without_a_home_is_told_so_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that is started with any user's number."""

    def unknown(number: int) -> None:
        raise KeyError(number)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", unknown)
    done = aelle("study", "digits", "--dry-run")
    assert done.returncode == 2
    assert done.stderr == (
        f"aelle: user {os.geteuid()} has no home directory: expected HOME to name a directory that can be written\n"
    )
    assert aelle("study", "--help").returncode == 0
