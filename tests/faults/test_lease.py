"""Two processes in one run directory: the second is refused, and a dead one holds nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aelle_core.foundation.errors import UserError
from flows.processes.run_lock import run_lease

HOLD = """import sys
from flows.processes.run_lock import run_lease
with run_lease(sys.argv[1]):
    print(1, flush=True)
    input()
"""


def test_another_process_is_refused_by_name_until_the_holder_is_gone(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "1\n"
        message = rf"'{tmp_path}' is being worked on by process {holder.pid} on {os.uname().nodename}: expected one"
        with pytest.raises(UserError, match=message), run_lease(tmp_path):
            pass
        holder.kill()
    with run_lease(tmp_path), run_lease(str(tmp_path)):
        done = subprocess.run(command, input="", capture_output=True, text=True, timeout=240, check=False)
        assert f"process {os.getpid()} on" in done.stderr


def test_a_command_is_refused_before_it_starts_anything(tmp_path: Path) -> None:
    arguments = ["sweep", "digits", "--cells", "rnn", "-o", str(tmp_path)]
    with run_lease(tmp_path):
        done = subprocess.run(
            [sys.executable, "-m", "flows.command.main", *arguments],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    assert done.returncode == 2
    assert "is being worked on by process" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
