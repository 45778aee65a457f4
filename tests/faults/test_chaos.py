"""Ten rounds of the fault injection command, in which each kind of fault happens; every row is compared."""

import signal
import subprocess
import sys

import pytest

from fault_injection.faults import FAULTS, LOCAL_FAULTS
from fault_injection.plan import Plan, ServedPlan, plan_of

SEED = 5104  # in its ten rounds everything happens once at least
ROUNDS = 10


def test_everything_that_may_happen_is_planned() -> None:
    plans = [plan_of(number, SEED) for number in range(1, ROUNDS + 1)]
    planned = {kind for plan in plans if isinstance(plan, Plan) for _, kind in plan.faults}
    assert planned == FAULTS.keys() | LOCAL_FAULTS.keys()
    signals = {plan.signal for plan in plans if isinstance(plan, ServedPlan)}
    assert signals == {signal.SIGKILL, signal.SIGTERM}
    assert any(plan.analysed for plan in plans if isinstance(plan, Plan))


@pytest.mark.timeout(4000)
def test_ten_rounds_of_chaos_lose_nothing() -> None:
    command = [sys.executable, "-m", "fault_injection", "--rounds", str(ROUNDS), "--seed", str(SEED), "--limit", "500"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as chaos:
        try:
            printed, _ = chaos.communicate(timeout=3600)
        except subprocess.TimeoutExpired:
            chaos.send_signal(signal.SIGINT)  # killed at once, it would leave its server, nodes and command behind
            printed, _ = chaos.communicate(timeout=90)
        finally:
            chaos.kill()
    assert chaos.returncode == 0, printed
    assert f"{ROUNDS} of {ROUNDS} rounds ended with every row as it should be" in " ".join(printed.split())
    for happened in ("Prefect server at", "flow at", "node 127.0.0.", "dashboard agent at", " stopped at", "altered "):
        assert happened in printed
