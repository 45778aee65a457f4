"""The compose file as a Docker engine reads it, for running each container's own command without one."""

import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.helpers.hosts import Host
from tests.helpers.needs import search_path

_VARIABLE = re.compile(r"\$\{(\w+)(?::([?-])([^}]*))?\}")


def interpolated(text: str, variables: dict[str, str]) -> str:
    """The text with ${NAME}, ${NAME:-default} and ${NAME:?message} replaced. Raises KeyError with the message."""

    def value(match: "re.Match[str]") -> str:
        name, kind, rest = match.groups()
        if given := variables.get(name):
            return given
        if kind == "?":
            raise KeyError(rest)
        return rest or ""

    return _VARIABLE.sub(value, text)


def read_compose(path: Path, variables: dict[str, str]) -> dict[str, Any]:
    """The compose file with `variables` put in."""
    content: dict[str, Any] = yaml.safe_load(interpolated(path.read_text(), variables))
    return content


def image_environment(dockerfile: Path) -> dict[str, str]:
    """The environment that the stage `runtime` sets, but PATH, and what the last stages inherit from it."""
    stage = dockerfile.read_text().split(" AS runtime\n")[1].split("\nFROM ")[0].replace("\\\n", " ")
    (line,) = (line for line in stage.splitlines() if line.startswith("ENV "))
    settings = dict(pair.split("=", 1) for pair in shlex.split(line)[1:])
    return {name: value for name, value in settings.items() if name != "PATH"}


def install_image_programs(dockerfile: Path, repository: Path, directory: Path) -> None:
    """Copy what the image has in /opt/aelle/bin into `directory`."""
    (line,) = (line for line in dockerfile.read_text().splitlines() if line.endswith(" /opt/aelle/bin/"))
    for source in line.split()[1:-1]:
        shutil.copy2(repository / source, directory)


@dataclass(frozen=True)
class Container:
    """One service's command, environment and health check, as the compose file has them, on a host of its own."""

    service: dict[str, Any]
    host: Host
    image_environment: dict[str, str]
    programs: Path
    log: Path

    @property
    def environment(self) -> dict[str, str]:
        """The image's environment and the service's own; of this machine only where programs lie."""
        machine = {
            "PATH": f"{self.programs}:{search_path()}",
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
            "HOME": "/home/aelle",
        }
        # Hosts here share one /tmp, containers do not.
        machine["RAY_TMPDIR"] = str(self.log.parent / self.host.name)
        return (
            self.image_environment | {str(k): str(v) for k, v in self.service.get("environment", {}).items()} | machine
        )

    def start(self) -> "subprocess.Popen[bytes]":
        """Start the service's command, and again whenever it ends, as `restart` has it: on a machine with much else to
        do, Ray gives up on its own slow parts."""
        assert self.service["restart"] == "unless-stopped"
        again = ["sh", "-c", 'while :; do "$@"; sleep 1; done', "restart", *self.service["command"]]
        return self.host.start(again, self.environment, self.log)

    def healthy(self) -> bool:
        """Whether the service's health check passes now."""
        kind, *command = self.service["healthcheck"]["test"]
        assert kind == "CMD"
        return self.host.run(command, self.environment).returncode == 0
