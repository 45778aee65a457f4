"""The recipes for Ray clusters: `ray start` on two hosts for real, the others against the schemas of their readers."""

import json
import os
import secrets
import shutil
import subprocess
import sys
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
from tests.deployments.hosts import Host, hosts, wait_for
from tests.needs import missing

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
def cluster(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    node = str(repository / "deployments" / "ray" / "node")
    directory = tmp_path_factory.mktemp("two")
    token = directory / "token"
    token.write_text(secrets.token_hex(32))
    with hosts("head", "worker") as network:
        head, worker = network.values()
        environments = {host.namespace: environment(directory, host, token) for host in (head, worker)}
        size = ["--num-cpus=1", f"--object-store-memory={128 * MEBIBYTE}"]
        for host, role in ((head, ["head"]), (worker, ["worker", head.address])):
            host.start([node, *role, *size], environments[host.namespace], directory / f"{role[0]}.log")
        wait_for(
            lambda: {6380, 6383} <= {port for _, port in worker.listening()}, 120, (directory / "worker.log").read_text
        )
        yield Cluster(head, worker, environments, directory)


@pytest.mark.xfail(strict=False, reason="a wrong token sometimes ends in a traceback: open")
def test_a_sweep_uses_both_hosts_and_a_wrong_token_is_refused(
    cluster: Cluster, tmp_path: Path, repository: Path
) -> None:
    head, worker = cluster.head, cluster.worker
    address = f"{head.address}:6379"
    wrong = tmp_path / "wrong-token"
    wrong.write_text(secrets.token_hex(32))
    run = tmp_path / "run"
    study = ["--cells", "rnn", "--units", "4", "--networks", "64", "--epochs", "1", "--way", "packed"]
    arguments = [
        sys.executable,
        "-m",
        "flows.cli",
        "sweep",
        "digits",
        *study,
        "--output",
        str(run),
        "--address",
        address,
    ]
    sweep = head.start(arguments, cluster.environments[head.namespace], tmp_path / "sweep.log")

    # Meanwhile a driver and a worker with a wrong token knock, on the other host.
    intruder = cluster.environments[worker.namespace] | {
        "RAY_AUTH_TOKEN_PATH": str(wrong),
        "RAY_TMPDIR": str(cluster.logs / "i"),
    }
    connect = (
        "from flows.cluster import ray_cluster\nfrom flows.parameters import Resources\n"
        f"with ray_cluster(Resources(ray_address='{address}')): print('inside')"
    )
    driver = worker.start([sys.executable, "-c", connect], intruder, tmp_path / "driver.log")
    join = ["ray", "start", f"--address={address}", f"--node-ip-address={worker.address}", "--num-cpus=1"]
    joining = worker.start(join, intruder, tmp_path / "joining.log")

    seen: set[str] = set()

    def finished() -> bool:
        for host in (head, worker):
            if any("-pack" in name_of(process) for process in host.processes()):
                seen.add(host.namespace)
        return sweep.poll() is not None

    wait_for(finished, 240, "the sweep does not end")
    assert sweep.returncode == 0, (tmp_path / "sweep.log").read_text()
    assert seen == {head.namespace, worker.namespace}
    rows = RunDirectory(run).store.read()
    assert len(rows) == len({*zip(rows["network"].to_pylist(), rows["epoch"].to_pylist(), strict=True)}) == 64 * 2

    assert driver.wait(120) == 1
    assert joining.wait(120) != 0
    told = (tmp_path / "driver.log").read_text()
    assert f"ray_address='{address}': no Ray cluster answers there" in told
    assert "inside" not in told
    assert "InvalidAuthToken" in (tmp_path / "joining.log").read_text()


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
        settings = {each["name"]: each for each in container["env"]}
        assert settings["RAY_AUTH_MODE"]["value"] == "token"
        assert settings["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"]["key"] == "auth_token"
    assert "nvidia.com/gpu" in groups[2]["template"]["spec"]["containers"][0]["resources"]["limits"]


def test_the_script_is_clean(repository: Path) -> None:
    checker = shutil.which("shellcheck")
    if checker is None:
        missing("shellcheck is not installed")
    subprocess.run([checker, str(repository / "deployments" / "ray" / "node")], check=True)
