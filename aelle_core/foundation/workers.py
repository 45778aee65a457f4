"""joblib's processes."""

import os
from typing import Any

from joblib import parallel_config

from aelle_core.foundation.child_processes import end_with


def ending_with_this(**configuration: Any) -> parallel_config:
    """Within the block joblib's processes end when this one does. Otherwise they would outlive a killed one by minutes:
    they wait for work that nobody brings."""
    return parallel_config("loky", initializer=end_with, initargs=(os.getpid(),), **configuration)
