"""One round of the chaos command: real kills, every row compared."""

import subprocess
import sys


def test_a_round_of_chaos_loses_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "chaos", "--rounds", "1"], capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "same rows, nothing left" in " ".join(done.stdout.split())
