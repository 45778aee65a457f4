"""Processes that are ended when the one that asked for it is gone, and are left alone when it is merely done."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

HOLD = """
import os, signal, subprocess, sys
import psutil
from flows.processes.orphans import ending_with_this

command = [sys.executable, "-c", "import time; time.sleep(600)"]
orphan = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
with ending_with_this([psutil.Process(orphan.pid)]):
    watcher = next(each for each in psutil.Process().children() if each.pid != orphan.pid)
    print(orphan.pid, watcher.pid, flush=True)
    if sys.argv[1] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("how", ["killed", "done"])
def test_only_the_death_of_the_parent_ends_them(how: str, repository: Path) -> None:
    done = subprocess.run([sys.executable, "-c", HOLD, how], cwd=repository, stdout=subprocess.PIPE, check=False)
    assert done.returncode == (0 if how == "done" else -9)
    orphan, watcher = map(int, done.stdout.split())
    try:
        process = psutil.Process(orphan)
    except psutil.NoSuchProcess:
        assert how == "killed"
        return
    try:
        if how == "killed":
            process.wait(60)
        else:
            assert not psutil.pid_exists(watcher)
            assert process.is_running()
    finally:
        if process.is_running():
            process.kill()
