"""The command `aelle` in this process: what it says and ends with, without the start of another Python."""

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from unittest.mock import patch

from flows.command.main import main


def aelle(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command with these arguments, for what starts no server and no cluster. What it changes in the
    environment is taken back."""
    output, errors = io.StringIO(), io.StringIO()
    with (
        patch.object(sys, "argv", ["aelle", *arguments]),
        patch.dict(os.environ),
        redirect_stdout(output),
        redirect_stderr(errors),
    ):
        try:
            main()
            code: object = 0
        except SystemExit as ended:
            code = ended.code or 0
    assert isinstance(code, int)
    return subprocess.CompletedProcess(["aelle", *arguments], code, output.getvalue(), errors.getvalue())
