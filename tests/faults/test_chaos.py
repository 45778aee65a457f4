"""Two rounds of the chaos command, in which each kind of thing is killed once; every row is compared."""

import subprocess
import sys

SEED = 258  # kills a worker, the server and the flow in its first round, a node in its second


def test_two_rounds_of_chaos_lose_nothing() -> None:
    command = [sys.executable, "-m", "chaos", "--rounds", "2", "--seed", str(SEED), "--limit", "200"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert "2 of 2 rounds ended with every row as it should be" in " ".join(told.split())
    for killed in ("worker ", "Prefect server at", "flow at", "node 127.0.0."):
        assert killed in told
