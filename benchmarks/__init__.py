"""Speed claims, one command each, with peers beside us in one run."""

import sys

from aelle_core.foundation.errors import UserError
from aelle_core.foundation.extras import require

if sys.argv[0] == "-m":  # so Python calls it while `python -m benchmarks...` looks for the module to run
    try:
        require("benchmarks", "a benchmark")
    except UserError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        sys.exit(2)
