"""The deployments that `aelle serve` registers."""

from typing import Any, cast

from prefect.deployments.runner import EntrypointType, RunnerDeployment

from flows.served.analyse import analyse
from flows.served.compact import compact
from flows.served.study import study
from flows.served.sweep import sweep


def deployments() -> list[RunnerDeployment]:
    """The deployments, each named after its function; their code is found by its module's name."""
    common: dict[str, Any] = {"entrypoint_type": EntrypointType.MODULE_PATH, "tags": ["aelle"]}
    return [
        cast(RunnerDeployment, each.to_deployment(each.fn.__name__, **common))
        for each in (study, sweep, analyse, compact)
    ]
