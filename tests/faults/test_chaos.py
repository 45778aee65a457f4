"""Two rounds of the fault injection command, in which each kind of thing is killed once; every row is compared."""

import signal
import subprocess
import sys

import pytest

# The server, a node and the flow in its first round; in its second, on the study's own cluster, the dashboard agent is
# killed, and a worker stopped for a while.
SEED = 46694


@pytest.mark.timeout(1500)
def test_two_rounds_of_chaos_lose_nothing() -> None:
    command = [sys.executable, "-m", "fault_injection", "--rounds", "2", "--seed", str(SEED), "--limit", "500"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as chaos:
        try:
            told, _ = chaos.communicate(timeout=1300)
        except subprocess.TimeoutExpired:
            chaos.send_signal(signal.SIGINT)  # killed at once, it would leave its server, nodes and command behind
            told, _ = chaos.communicate(timeout=90)
        finally:
            chaos.kill()
    assert chaos.returncode == 0, told
    assert "2 of 2 rounds ended with every row as it should be" in " ".join(told.split())
    for killed in ("Prefect server at", "flow at", "node 127.0.0.", "dashboard agent at", " stopped at"):
        assert killed in told
