"""Nodes that join late, die in the middle or differ from each other: a Ray cluster of several nodes on this machine."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from aelle_core.foundation.errors import UserError
from aelle_core.study import RunDirectory, Study
from tests.faults.sweeps import alone, assert_same_numbers, sweep_state

pytestmark = pytest.mark.timeout(1500)
SECONDS = 400  # generous: it takes ten where nothing else runs
HOST = "127.0.0.11"  # loopback, but not 127.0.0.1, which Ray would replace by an address that others reach


@pytest.fixture(scope="module")
def cluster(prefect_server: str) -> Iterator[Any]:
    """A head node that takes no packs; tests add workers."""
    from flows.processes.environment import prepare_ray

    prepare_ray(local=True)
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "node_ip_address": HOST, "include_dashboard": False},
    )
    yield cluster
    cluster.shutdown()


@contextmanager
def added(cluster: Any, **resources: float) -> Iterator[Any]:
    """A worker node for the block's time."""
    node = cluster.add_node(node_ip_address=HOST, **resources)
    try:
        yield node
    finally:
        if node in cluster.worker_nodes and node.any_processes_alive():
            cluster.remove_node(node, allow_graceful=False)


@contextmanager
def sweeping(cluster: Any, study: Study, directory: Path, *arguments: str, **resources: Any) -> Iterator[Any]:
    """A sweep on the cluster in a process of its own, killed at the block's end where it is not over."""
    files = directory.with_name(f"{directory.name}-study.json"), directory.with_name(f"{directory.name}-resources.json")
    files[0].write_text(json.dumps(study.to_dict()))
    files[1].write_text(json.dumps({"ray_address": cluster.address, "way": "packed", "retry_delay": 0.1, **resources}))
    command = [sys.executable, "-m", "tests.faults.driver", str(files[0]), str(directory), str(files[1]), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def raylet(node: Any) -> psutil.Process:
    return psutil.Process(node.all_processes["raylet"][0].process.pid)


def packs_on(node: Any) -> list[str]:
    """The packs that are being trained on a node."""
    titles = []
    for process in raylet(node).children(recursive=True):
        try:
            titles.append(" ".join(process.cmdline()))
        except psutil.NoSuchProcess:
            continue
    return [
        title.split()[0].removeprefix("ray::") for title in titles if title.startswith("ray::") and "-pack" in title
    ]


def stored(run: RunDirectory, pack: str) -> int:
    """How many epochs of a pack are stored."""
    return len(list(run.path.glob(f"spectra/**/{pack}.parquet")))


def kill(node: Any) -> None:
    """End a node as a power cut does: its raylet with all its workers, by SIGKILL."""
    root = raylet(node)
    for process in [root, *root.children(recursive=True)]:
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def wait_until(reached: Callable[[], Any], process: subprocess.Popen[str]) -> Any:
    deadline = time.monotonic() + SECONDS
    while not (answer := reached()):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.01)
    return answer


def test_workers_join_late_and_a_killed_node_costs_nothing_but_time(cluster: Any, tmp_path: Path) -> None:
    study = Study(name="nodes", cells=("lem",), units=(6,), networks=12, pack_size=2, epochs=60)
    run = RunDirectory(tmp_path / "run")
    with sweeping(cluster, study, tmp_path / "run", patience=SECONDS) as sweep:
        wait_until(run.settings.exists, sweep)  # nobody can train a pack yet: it waits
        with added(cluster, num_cpus=1) as small:
            wait_until(lambda: packs_on(small), sweep)
            with added(cluster, num_cpus=3):
                large = max(cluster.worker_nodes, key=lambda node: node._ray_params.num_cpus)
                # More than two at once: as many as were submitted when the cluster had one core.
                wait_until(lambda: len(packs_on(large)) > 2, sweep)
                # One that is far from its 61 epochs: it is not over before its node is killed.
                wait_until(lambda: any(4 < stored(run, pack) < 40 for pack in packs_on(small)), sweep)
                kill(small)
                output, _ = sweep.communicate(timeout=SECONDS)
        assert sweep.returncode == 0, output
    assert run.quarantine.packs() == []
    assert_same_numbers(run.store.read(), alone(study))


def test_cohorts_go_where_their_resources_are(cluster: Any, tmp_path: Path) -> None:
    study = Study(name="kinds", cells=("rnn", "lem"), units=(4, 6), networks=2, pack_size=1, epochs=1)
    cohorts = {"lem": {"gpus_per_pack": 0.5}, "lem 6": {"gpus_per_pack": 2}}
    places = tmp_path / "places"
    with added(cluster, num_cpus=2), added(cluster, num_cpus=2, num_gpus=2):
        with sweeping(cluster, study, tmp_path / "run", str(places), cohorts=cohorts) as sweep:
            output, _ = sweep.communicate(timeout=SECONDS)
        assert sweep.returncode == 0, output
        lines = [line.split() for line in places.read_text().splitlines()]
        assert len(lines) == 8
        for pack, device, of_node, own in lines:
            if pack.startswith("rnn"):
                assert (device, own) == ("cpu", "0")
            else:
                assert (device, float(of_node), own) == ("cuda", 2, "2" if pack.startswith("lem-6") else "1")
        assert RunDirectory(tmp_path / "run").store.read(epoch=1).num_rows == 8

        with sweeping(cluster, study, tmp_path / "other", cohorts={"lem 6": {"gpus_per_pack": 3}}) as sweep:
            output, _ = sweep.communicate(timeout=SECONDS)
    assert sweep.returncode == 1
    assert (
        "digits lem 6: a pack needs 1 CPU and 3 GPU on one node; the cluster has 1 node with 0 CPU and 0 GPU, "
        "1 node with 2 CPU and 0 GPU, 1 node with 2 CPU and 2 GPU: add workers or lower the request"
    ) in output


@pytest.mark.usefixtures("orchestration")
def test_cohorts_that_are_not_in_the_study_are_refused(tmp_path: Path) -> None:
    study = Study(cells=("rnn",), units=(4,), networks=2, epochs=1)
    state = sweep_state(study, tmp_path / "run", cohorts={"rnn 8": {"cpus_per_pack": 2}})
    assert state.is_failed()
    assert "unknown cohort in resources 'rnn 8': expected one of rnn, rnn 4" in state.message
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("orchestration")
def test_waiting_for_workers_is_bounded() -> None:
    from flows.parameters import Request
    from flows.processes.cluster import check_resources

    begun = time.monotonic()
    with pytest.raises(UserError, match="many: a pack needs 99 CPU and 0 GPU on one node; the cluster has 1 node with"):
        check_resources({"few": Request(1), "many": Request(99)}, patience=1.5)
    assert 1.5 <= time.monotonic() - begun < 60
