"""The deployments that `aelle serve` registers."""

from typing import Any, cast

from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import EntrypointType, RunnerDeployment
from prefect.schedules import Cron

from flows.served.deployed_analyse import analyse
from flows.served.deployed_compact import compact
from flows.served.deployed_forecast import forecast
from flows.served.deployed_nightly import nightly
from flows.served.deployed_own_data import own_data
from flows.served.deployed_screen import screen
from flows.served.deployed_study import study
from flows.served.deployed_sweep import sweep

# A night that finds another running waits: cancelling it instead would leave that date without networks, and so would
# cancelling a night that is started again while the slot of the killed one is still held.
ONE_NIGHT = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE)


def deployments(cron: str | None = None, timezone: str = "UTC") -> list[RunnerDeployment]:
    """Return the deployments, each named after its function, `own-data` after `own_data`. Their code is found by its
    module's name.

    Args:
        cron: When nights begin; they are not scheduled without it.
        timezone: The time zone of `cron`.
    """
    schedule = None if cron is None else Cron(cron, timezone=timezone)
    of_nights = {"schedule": schedule, "concurrency_limit": ONE_NIGHT}
    return [
        _deployment(study),
        _deployment(sweep),
        _deployment(analyse),
        _deployment(nightly, **of_nights),
        _deployment(compact),
        _deployment(screen),
        _deployment(own_data),
        _deployment(forecast),
    ]


def _deployment(flow: Any, **settings: Any) -> RunnerDeployment:
    name = flow.fn.__name__.replace("_", "-")
    made = flow.to_deployment(name, entrypoint_type=EntrypointType.MODULE_PATH, tags=["aelle"], **settings)
    return cast(RunnerDeployment, made)
