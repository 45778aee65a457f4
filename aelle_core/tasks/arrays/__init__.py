"""One's own data as a task: from files to standardised windows of sequences with targets.

reading    files and directories -> Recordings        columns    the columns of a table -> Recordings
recordings sequences with their targets, and a file   targets    classes, numbers, or the next step
splitting  training, validation and test stretches    scaling    means and deviations of the training part
task       the registered task `arrays`
"""

from aelle_core.tasks.arrays.recordings import keep_arrays
from aelle_core.tasks.arrays.task import Arrays

__all__ = ["Arrays", "keep_arrays"]
