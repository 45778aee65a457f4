"""The images and the compose file: checked by the linters and schemas of their readers, then every container's own
command run without Docker, each on a host of its own, against a real PostgreSQL."""

import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.helpers.compose import Container, image_environment, install_image_programs, interpolated, read_compose
from tests.helpers.hosts import Host, hosts, wait_for
from tests.helpers.needs import tool

pytestmark = pytest.mark.timeout(1800)
VARIABLES = {
    name: secrets.token_hex(16) for name in ("AELLE_DATABASE_PASSWORD", "AELLE_PREFECT_PASSWORD", "AELLE_RAY_TOKEN")
}
ASK = """
import json, sys, httpx
done = httpx.request(sys.argv[1], sys.argv[2], auth=tuple(sys.argv[3].split(":")) if sys.argv[3] else None,
                     json={} if sys.argv[1] == "POST" else None)
print(json.dumps([done.status_code, done.text]))
"""


def test_hadolint_finds_nothing(repository: Path) -> None:
    subprocess.run([tool("hadolint"), str(repository / "docker" / "Dockerfile")], check=True)


def test_scripts_are_clean(repository: Path) -> None:
    scripts = [repository / "deployments" / "ray" / "node", repository / "docker" / "serve"]
    subprocess.run([tool("shellcheck"), *map(str, scripts)], check=True)


def test_compose_fits_the_schema(repository: Path) -> None:
    file = str(repository / "docker" / "compose.yaml")
    subprocess.run([tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", file], check=True)


def test_images_are_pinned_and_run_as_a_normal_user(repository: Path) -> None:
    text = (repository / "docker" / "Dockerfile").read_text()
    assert re.search(r"^ARG PYTHON=3\.11\.\d+-slim-\w+$", text, re.MULTILINE)
    runtime = text.split(" AS runtime\n")[1]
    assert "\nUSER 10001\n" in runtime
    assert "USER root" not in text
    assert {line.split()[-1] for line in text.splitlines() if line.startswith("FROM runtime")} == {"cpu", "cuda"}
    assert all("--constraint constraints.txt" in line for line in text.splitlines() if "--requirement" in line)
    compose = read_compose(repository / "docker" / "compose.yaml", VARIABLES)
    images = {service["image"] for service in compose["services"].values()}
    own = {f"aelle:{version('aelle')}-{target}" for target in ("cpu", "cuda")}
    assert own < images
    assert all(re.fullmatch(r"postgres:\d+\.\d+-\w+", image) for image in images - own)


def test_compose_lets_nobody_in(repository: Path) -> None:
    path = repository / "docker" / "compose.yaml"
    text = path.read_text()
    for absent in VARIABLES.keys() - {"AELLE_RAY_TOKEN"}:
        with pytest.raises(KeyError, match=r"make docker/\.env first"):
            interpolated(text, {name: value for name, value in VARIABLES.items() if name != absent})
    compose = read_compose(path, VARIABLES)
    for name, service in compose["services"].items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] == "CMD"
        assert "no-new-privileges:true" in service["security_opt"]
        assert not service.get("privileged")
    assert compose["networks"]["database"]["internal"]
    leases = compose["services"]["prefect"]["environment"]["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"]
    assert leases.endswith(".filesystem")  # slots outlive a restart
    example = (repository / "docker" / ".env.example").read_text()
    values = dict(line.split("=", 1) for line in example.splitlines() if line and not line.startswith("#"))
    assert values == dict.fromkeys(VARIABLES, "")


def test_the_documented_command_makes_all_secrets(repository: Path, tmp_path: Path) -> None:
    example = (repository / "docker" / ".env.example").read_text()
    command = "\n".join(line[4:] for line in example.splitlines() if line.startswith("#   "))
    (tmp_path / "docker").mkdir()
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
    made = tmp_path / "docker" / ".env"
    values = dict(line.split("=", 1) for line in made.read_text().splitlines())
    assert values.keys() == VARIABLES.keys()
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in values.values())
    assert len(set(values.values())) == 3
    assert made.stat().st_mode & 0o077 == 0


class Composition:
    """The services of compose.yaml, started in the order of their dependencies, each when those are healthy."""

    def __init__(self, repository: Path, directory: Path, network: dict[str, Host]) -> None:
        self.compose = read_compose(repository / "docker" / "compose.yaml", VARIABLES)
        dockerfile = repository / "docker" / "Dockerfile"
        programs = directory / "bin"
        programs.mkdir()
        install_image_programs(dockerfile, repository, programs)
        self.containers = {}
        for name, host in network.items():
            service = self.compose["services"][name]
            self._mount(host, service, directory)
            own = {} if name == "database" else image_environment(dockerfile)
            self.containers[name] = Container(service, host, own, programs, directory / f"{name}.log")

    def _mount(self, host: Host, service: dict[str, object], directory: Path) -> None:
        """What Docker would mount: secrets, named volumes, a home of its own."""
        held = directory / f"{host.name}-secrets"
        held.mkdir()
        for secret in service.get("secrets", []):  # type: ignore[attr-defined]
            (held / secret).write_text(VARIABLES[self.compose["secrets"][secret]["environment"]])
        host.mounts["/run/secrets"] = held
        home = directory / f"{host.name}-home"
        home.mkdir()
        host.mounts["/home/aelle"] = home
        for volume in service.get("volumes", []):  # type: ignore[attr-defined]
            source, target = volume.split(":")
            assert source in self.compose["volumes"]
            if not target.startswith("/var/"):
                (directory / source).mkdir(exist_ok=True)
                host.mounts[target] = directory / source

    def up(self) -> None:
        """Start one after the other, each when all before it are healthy, and so all that it depends on."""
        waiting = dict(self.containers)
        while waiting:
            needs = {name: set(member.service.get("depends_on", {})) for name, member in waiting.items()}
            name = next(name for name, needed in needs.items() if not needed & set(waiting))
            assert all(
                condition == {"condition": "service_healthy"}
                for condition in waiting[name].service.get("depends_on", {}).values()
            )
            container = waiting.pop(name)
            container.start()
            wait_for(container.healthy, 600, container.log.read_text)


@pytest.fixture(scope="module")
def composition(repository: Path) -> Iterator[Composition]:
    # Not below pytest's directory: the user postgres cannot enter it.
    directory = Path(tempfile.mkdtemp(prefix="aelle-compose-"))
    directory.chmod(0o755)
    try:
        with hosts("database", "prefect", "ray-head", "ray-worker", "serve") as network:
            made = Composition(repository, directory, network)
            prepare_database(made.containers["database"], directory / "data")
            made.up()
            yield made
    finally:
        shutil.rmtree(directory)


def prepare_database(container: Container, data: Path) -> None:
    """What the image's entry point does on its first start: a cluster with the user and the database named."""
    initdb, postgres = tool("initdb"), tool("postgres")
    settings = container.service["environment"]
    data.mkdir()
    shutil.chown(data, "postgres", "postgres")
    password = data.parent / "password"
    password.write_text(VARIABLES["AELLE_DATABASE_PASSWORD"])
    shutil.chown(password, "postgres", "postgres")
    user = settings["POSTGRES_USER"]
    arguments = ["--pgdata", str(data), "--username", user, "--pwfile", str(password)]
    as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    options = [settings["POSTGRES_INITDB_ARGS"], "--auth-local=trust", "--no-sync"]
    subprocess.run([*as_postgres, initdb, *arguments, *options], check=True, capture_output=True, cwd="/")
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write("host all all all scram-sha-256\n")
    single = [*as_postgres, postgres, "--single", "-D", str(data), "template1"]
    query = f"CREATE DATABASE {settings['POSTGRES_DB']}\n"
    subprocess.run(single, input=query, check=True, capture_output=True, text=True, cwd="/")
    container.service["command"] = [*as_postgres, *container.service["command"], "-D", str(data), "-k", str(data)]


def ask(host: Host, environment: dict[str, str], method: str, address: str, secret: str = "") -> tuple[int, str]:
    import json

    done = host.run([sys.executable, "-c", ASK, method, address, secret], environment)
    assert done.returncode == 0, done.stderr
    status, text = json.loads(done.stdout)
    return status, text


def test_every_container_is_healthy_and_does_its_part(composition: Composition) -> None:
    for name, container in composition.containers.items():
        assert container.healthy(), f"{name}: {container.log.read_text()}"
    serve, head = composition.containers["serve"], composition.containers["ray-head"]
    api = serve.environment["PREFECT_API_URL"]
    secret = serve.environment["PREFECT_API_AUTH_STRING"]

    # Prefect asks who is there, but for its health.
    assert ask(serve.host, serve.environment, "POST", f"{api}/flows/filter")[0] == 401
    assert ask(serve.host, serve.environment, "POST", f"{api}/flows/filter", "aelle:guess")[0] == 401
    assert ask(serve.host, serve.environment, "GET", f"{api}/health")[0] == 200

    # Its tables lie in PostgreSQL, and the database asks for a password.
    database = composition.containers["database"].host.address
    connect = (
        "import asyncio, asyncpg, sys\nasync def main():\n"
        f"    c = await asyncpg.connect(host='{database}', user='prefect', database='prefect', password=sys.argv[1])\n"
        "    print(await c.fetchval('select count(*) from deployment'))\nasyncio.run(main())"
    )
    refused = serve.host.run([sys.executable, "-c", connect, "guess"], serve.environment)
    assert "password authentication failed" in refused.stderr

    def deployments() -> set[str]:
        status, text = ask(serve.host, serve.environment, "POST", f"{api}/deployments/filter", secret)
        assert status == 200
        return set(re.findall(r'"name":"([a-z]+)"', text))

    wait_for(lambda: {"study", "sweep", "analyse", "compact"} <= deployments(), 300, serve.log.read_text)
    counted = serve.host.run([sys.executable, "-c", connect, VARIABLES["AELLE_DATABASE_PASSWORD"]], serve.environment)
    assert int(counted.stdout) >= 4, counted.stderr

    # Head, worker and serve are one Ray cluster; only the worker has CPUs.
    count = (
        "import ray, json\nray.init(address='ray-head:6379', log_to_driver=False)\n"
        "print(json.dumps(sorted(n['Resources'].get('CPU', 0) > 0 for n in ray.nodes() if n['Alive'])))"
    )
    seen = serve.host.run([sys.executable, "-c", count], serve.environment)
    assert seen.stdout.strip().splitlines()[-1] == "[false, false, true]", seen.stderr

    # No secret is in any container's output.
    for container in composition.containers.values():
        text = container.log.read_text()
        assert not [name for name, value in VARIABLES.items() if value in text], container.host.name
    assert head.environment["RAY_AUTH_TOKEN_PATH"] == "/run/secrets/ray_token"
