"""The recipes for Ray clusters: `ray start` on two hosts for real, the others against the schemas of their readers."""

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import jsonschema
import kubernetes_validate
import psutil
import pytest
import yaml

from aelle_core.study import RunDirectory
from tests.helpers.hosts import Host, hosts, wait_for
from tests.helpers.needs import tool

pytestmark = pytest.mark.timeout(1800)
MEBIBYTE = 2**20
CLOSED = {10001, 44217, 44227}  # what the recipe tells to keep closed


@dataclass(frozen=True)
class Cluster:
    """A head and a worker that were started by the recipe."""

    head: Host
    worker: Host
    environments: dict[str, dict[str, str]]
    logs: Path


def environment(directory: Path, host: Host, token: Path) -> dict[str, str]:
    """What a user of `host` has in the environment, with this Python's programs first."""
    own = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        "AELLE_NODE_ADDRESS": host.address,
        "RAY_TMPDIR": str(directory / host.name[0]),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "PREFECT_HOME": str(directory / "prefect"),
        "PREFECT_PROFILES_PATH": str(directory / "profiles.toml"),
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "PREFECT_"))}
    return inherited | own


@pytest.fixture(scope="module")
def cluster(repository: Path) -> Iterator[Cluster]:
    node = str(repository / "deployments" / "ray" / "node")
    # A directory of pytest's lies too deep: the paths of Ray's sockets may have 107 letters.
    with tempfile.TemporaryDirectory(prefix="aelle") as name, hosts("head", "worker") as network:
        directory = Path(name)
        token = directory / "token"
        token.write_text(secrets.token_hex(32))
        head, worker = network.values()
        environments = {host.namespace: environment(directory, host, token) for host in (head, worker)}
        size = ["--num-cpus=1", f"--object-store-memory={128 * MEBIBYTE}"]
        for host, role in ((head, ["head"]), (worker, ["worker", head.address])):
            host.start([node, *role, *size], environments[host.namespace], directory / f"{role[0]}.log")
        wait_for(
            lambda: {6380, 6383} <= {port for _, port in worker.listening()}, 480, (directory / "worker.log").read_text
        )
        yield Cluster(head, worker, environments, directory)


def test_a_sweep_uses_both_hosts_and_a_wrong_token_is_refused(
    cluster: Cluster, tmp_path: Path, repository: Path
) -> None:
    head, worker = cluster.head, cluster.worker
    address = f"{head.address}:6379"
    wrong = tmp_path / "wrong-token"
    wrong.write_text(secrets.token_hex(32))
    study = ["--cells", "rnn", "--units", "4", "--networks", "64", "--epochs", "1", "--way", "packed"]

    def arguments(run: Path) -> list[str]:
        sweep = ["sweep", "digits", *study, "--output", str(run), "--address", address]
        return [sys.executable, "-m", "flows.command.main", *sweep]

    run = tmp_path / "run"
    sweep = head.start(arguments(run), cluster.environments[head.namespace], tmp_path / "sweep.log")

    # Meanwhile a driver and a worker with a wrong token knock, on the other host.
    intruder = cluster.environments[worker.namespace] | {
        "RAY_AUTH_TOKEN_PATH": str(wrong),
        "RAY_TMPDIR": str(cluster.logs / "i"),
        "PREFECT_HOME": str(cluster.logs / "intruder"),
    }
    driver = worker.start(arguments(tmp_path / "other"), intruder, tmp_path / "driver.log")
    join = ["ray", "start", f"--address={address}", f"--node-ip-address={worker.address}", "--num-cpus=1"]
    joining = worker.start(join, intruder, tmp_path / "joining.log")

    assert hosts_used(cluster, sweep, 720) == {head.name, worker.name}
    assert sweep.returncode == 0, (tmp_path / "sweep.log").read_text()
    rows = RunDirectory(run).store.read()
    assert len(rows) == len({*zip(rows["network"].to_pylist(), rows["epoch"].to_pylist(), strict=True)}) == 64 * 2

    assert driver.wait(300) == 2
    assert joining.wait(300) != 0
    log = (tmp_path / "driver.log").read_text()
    assert log.splitlines()[-1] == (
        f"aelle: ray_address='{address}': the Ray cluster there asks for another token than this process has: expected "
        "the cluster's own in RAY_AUTH_TOKEN, or in the file that RAY_AUTH_TOKEN_PATH names"
    )
    assert "Traceback" not in log
    assert list(RunDirectory(tmp_path / "other").store.files()) == []
    assert "InvalidAuthToken" in (tmp_path / "joining.log").read_text()


def test_a_night_as_the_operations_page_starts_it_uses_both_hosts(cluster: Cluster, tmp_path: Path) -> None:
    head = cluster.head
    environment = cluster.environments[head.namespace] | {"PREFECT_HOME": str(tmp_path / "prefect")}
    options = ["--runs", str(tmp_path / "runs"), "--address", f"{head.address}:6379"]
    schedule = ["--nightly", "0 2 31 12 *", "--timezone", "Europe/Berlin"]
    log = tmp_path / "serve.log"
    serve = head.start([sys.executable, "-m", "flows.command.main", "serve", *options, *schedule], environment, log)
    try:
        wait_for(lambda: "forms: http://127.0.0.1:4200/" in log.read_text(), 480, log.read_text)
        changes = {"cells": ["lem"], "units": [6], "networks": 18, "epochs": 12}
        form = {"night": "2026-11-25", "changes": changes, "details": {"pack_size": 3}}
        form |= {"analysis": {"splits": 2}, "packs": {"way": "packed"}}
        submit = ["deployment", "run", "AeLLE nightly/nightly", "--params", json.dumps(form), "--watch"]
        night = head.start(
            [sys.executable, "-m", "prefect", "--no-prompt", *submit],
            environment
            | {
                "PREFECT_API_URL": "http://127.0.0.1:4200/api",
                "PREFECT_API_AUTH_STRING": (tmp_path / "prefect" / "aelle-serve" / "4200").read_text().strip(),
            },
            tmp_path / "night.log",
        )
        assert hosts_used(cluster, night, 1000) == {head.name, cluster.worker.name}
        assert night.returncode == 0, (tmp_path / "night.log").read_text() + log.read_text()
    finally:
        serve.terminate()
        try:
            serve.wait(120)
        except subprocess.TimeoutExpired:
            serve.kill()
            raise
    results = tmp_path / "runs" / "nightly"
    assert RunDirectory(results / "nights" / "2026-11-25").store.read().num_rows == 18 * 13
    assert (results / "history.parquet").exists()
    assert "2026-11-25" in (results / "report.html").read_text()


def hosts_used(cluster: Cluster, process: "subprocess.Popen[bytes]", seconds: float) -> set[str]:
    """The hosts on which packs are seen to train until the process ends, within so many seconds."""
    seen: set[str] = set()

    def finished() -> bool:
        for host in (cluster.head, cluster.worker):
            if any("-pack" in name_of(running) for running in host.processes()):
                seen.add(host.name)
        return process.poll() is not None

    wait_for(finished, seconds, f"{process.args!r} does not end")
    return seen


def name_of(process: int) -> str:
    """How a process calls itself: Ray's workers by the task they run."""
    try:
        return " ".join(psutil.Process(process).cmdline())
    except psutil.Error:
        return ""


def test_only_the_ports_that_the_recipe_names_are_open(cluster: Cluster) -> None:
    for host in (cluster.head, cluster.worker):
        open_ports = {port for address, port in host.listening() if not address.startswith("127.")}
        named = {*range(6379, 6386), *range(20000, 21000)}
        assert open_ports - named <= (CLOSED if host is cluster.head else set())
    assert 8265 not in {port for address, port in cluster.head.listening() if not address.startswith("127.")}
    assert ("127.0.0.1", 8265) in cluster.head.listening()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "usage: node head"),
        (["worker"], "usage: node head"),
        (["tail"], "usage: node"),
        (["head"], "'/nonexistent'"),
    ],
)
def test_node_refuses_what_it_cannot_start(repository: Path, arguments: list[str], message: str) -> None:
    done = subprocess.run(
        [str(repository / "deployments" / "ray" / "node"), *arguments],
        env={"PATH": os.environ["PATH"], "RAY_AUTH_TOKEN_PATH": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert message in done.stderr


def test_on_premise_fits_the_schema_and_the_checks_of_ray_up(repository: Path) -> None:
    import ray
    from ray.autoscaler._private.util import prepare_config, validate_config

    text = (repository / "deployments" / "ray" / "on-premise.yaml").read_text()
    config = yaml.safe_load(text)
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(config, schema)
    validate_config(prepare_config(config))
    assert f'"{version("ray")}"' in text
    for source in config["file_mounts"].values():
        assert source.startswith("~") or (repository / source).exists()
    for command in (config["head_start_ray_commands"][-1], config["worker_start_ray_commands"][-1]):
        assert "/node " in command
        assert "RAY_AUTH_TOKEN_PATH=" in command


def test_kuberay_pods_are_pods_with_a_token_and_no_privileges(repository: Path) -> None:
    cluster, policy = yaml.safe_load_all((repository / "deployments" / "ray" / "kuberay.yaml").read_text())
    newest = kubernetes_validate.latest_version()
    kubernetes_validate.validate(policy, newest, strict=True)
    assert cluster["spec"]["rayVersion"] == version("ray")
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    assert [group.get("groupName") for group in groups] == [None, "cpu", "gpu"]
    for group in groups:
        spec = group["template"]["spec"]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec}
        kubernetes_validate.validate(pod, newest, strict=True)
        assert spec["securityContext"]["runAsNonRoot"]
        (container,) = spec["containers"]
        assert container["image"].startswith("aelle:" + version("aelle"))
        settings = {variable["name"]: variable for variable in container["env"]}
        assert settings["RAY_AUTH_MODE"]["value"] == "token"
        assert settings["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"]["key"] == "auth_token"
    assert "nvidia.com/gpu" in groups[2]["template"]["spec"]["containers"][0]["resources"]["limits"]


def test_the_script_is_clean(repository: Path) -> None:
    subprocess.run([tool("shellcheck"), str(repository / "deployments" / "ray" / "node")], check=True)
