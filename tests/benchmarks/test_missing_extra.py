"""`python -m benchmarks...` on a machine that lacks the extra."""

import subprocess
import sys

WITHOUT_CLVLIB = "import sys; sys.modules['clvlib'] = None; sys.argv = ['-m']; import benchmarks.training"


def test_a_missing_extra_is_one_sentence_and_exit_code_2() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_CLVLIB], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "benchmarks: a benchmark needs aelle[benchmarks]: pip install 'aelle[benchmarks]' (not installed: clvlib)"
    ]
