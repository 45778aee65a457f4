"""Runs what is submitted: this program's own flows, whatever the server says of their code."""

import asyncio
from typing import TYPE_CHECKING, Any, Self, cast
from uuid import UUID

from prefect.deployments.runner import RunnerDeployment
from prefect.flows import load_flow_from_entrypoint
from prefect.runner import Runner
from prefect.runner._starter_engine import EngineCommandStarter

from flows.processes.interruption import end_within

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import FlowRun


END_SECONDS = 8.0
"""Within what time `aelle serve` ends once it has been asked to."""


class OwnFlowsRunner(Runner):
    """Prefect's runner, which takes from the server which deployment is to run and with what parameters.

    A deployment on the server also holds an entrypoint, pull steps and a storage block, and Prefect's runner follows
    them: who may change a deployment then runs any code as this user. Here they are never read. A run of a deployment
    that was added here imports the module that was named when it was added; there is no other way to code, neither for
    runs nor for the hooks that follow them.
    """

    def __init__(self, **settings: Any) -> None:
        """Take the settings of Prefect's runner."""
        super().__init__(**settings)
        self._entrypoints: dict[UUID, str] = {}

    def offer(self, deployment: RunnerDeployment) -> None:
        """Register a deployment, whose code is a module of this installation, and run what is submitted to it."""
        assert deployment.entrypoint and ":" not in deployment.entrypoint, "a module's flow, not a file's"
        self._entrypoints[cast(UUID, self.add_deployment(deployment))] = deployment.entrypoint

    async def __aenter__(self) -> Self:
        """Start, with own ways to code in the place of Prefect's."""
        await super().__aenter__()
        assert self._hook_runner is not None
        assert "_resolve_flow" in vars(self._hook_runner), "Prefect's runner finds flows for hooks in another way"
        assert "_resolve_starter" in vars(self._scheduled_run_poller), "Prefect's runner starts runs in another way"
        self._hook_runner._resolve_flow = self._own_flow
        self._scheduled_run_poller._resolve_starter = self._own_starter
        return self

    def handle_sigterm(self, *args: Any, **kwargs: Any) -> None:
        """End the polling and cancel what runs. (Prefect's own handler calls a coroutine that it does not await.)"""
        end_within(END_SECONDS)
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._begin_stop)

    def _begin_stop(self) -> None:
        if self.started:
            self._stop = asyncio.ensure_future(self.astop())

    def _entrypoint(self, flow_run: "FlowRun") -> str:
        """Raise RuntimeError for a run of a deployment that was not added here."""
        if flow_run.deployment_id not in self._entrypoints:
            raise RuntimeError(f"run {flow_run.name!r} belongs to no deployment of this program")
        return self._entrypoints[flow_run.deployment_id]

    async def _own_flow(self, flow_run: "FlowRun") -> "Flow[..., Any]":
        return load_flow_from_entrypoint(self._entrypoint(flow_run), use_placeholder_flow=False)

    def _own_starter(self, flow_run: "FlowRun") -> EngineCommandStarter:
        assert flow_run.deployment_id is not None
        return EngineCommandStarter(
            tmp_dir=self._tmp_dir,
            entrypoint=self._entrypoint(flow_run),
            deployment_name=self._deployment_registry.get_deployment_name(flow_run.deployment_id),
            control_channel=self._control_channel,
        )
