"""The slot of a night outlives the server that gave it: a night must not end because the server was restarted."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from fault_injection.api import SECONDS, ask
from flows.processes.environment import prepare_prefect
from flows.processes.server import PrefectServer, await_answer


def test_a_night_keeps_its_slot_when_the_server_is_restarted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    prepare_prefect()
    server = PrefectServer()
    try:
        server.wait(SECONDS)
        name, password = server.secret.split(":")
        with httpx.Client(base_url=f"{server.url}/", timeout=SECONDS, auth=(name, password)) as api:

            def post(path: str, **content: object) -> Any:
                return ask(api, "POST", path, json=content).raise_for_status().json()

            flow = post("flows/", name="nightly")["id"]
            limit = {"concurrency_limit": 1, "concurrency_options": {"collision_strategy": "ENQUEUE"}}
            deployment = post("deployments/", name="nightly", flow_id=flow, **limit)["id"]
            runs = [post(f"deployments/{deployment}/create_flow_run")["id"] for _ in range(2)]
            first = post(f"flow_runs/{runs[0]}/set_state", state={"type": "PENDING"})
            lease = first["state"]["state_details"]["deployment_concurrency_lease_id"]
            before = server.process
            before.kill()
            deadline = time.monotonic() + SECONDS
            while server.process is before:
                assert time.monotonic() < deadline, "the server is not started again"
                time.sleep(0.1)
            await_answer(server.url, SECONDS)
            path = f"v2/concurrency_limits/leases/{lease}/renew"
            renewed = ask(api, "POST", path, json={"lease_duration": 300})
            assert renewed.status_code == httpx.codes.NO_CONTENT, renewed.text
            second = post(f"flow_runs/{runs[1]}/set_state", state={"type": "PENDING"})
            assert second["state"]["name"] == "AwaitingConcurrencySlot"
    finally:
        server.stop()
