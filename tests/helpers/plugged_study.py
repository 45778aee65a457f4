"""What a process does that was given the arctangent cell: a small study, without Prefect and Ray."""

import sys

from aelle_core.foundation.plugins import use
from aelle_core.study import RunDirectory, Study, run_study

if __name__ == "__main__":
    script, directory = sys.argv[1:]
    use([script])
    study = Study(name="plugged", cells=("arctangent", "rnn"), units=(4,), networks=20, epochs=1)
    run_study(study, RunDirectory(directory))
