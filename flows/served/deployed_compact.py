"""The form of `compact`: merge the many small files of stored spectra into few."""

from typing import Any

from flows.compact import compact as flow
from flows.jobs import form_of
from flows.served.settings import ServedSettings


@form_of(flow)
def compact(results: str = "digits") -> Any:
    """Merge the files of stored spectra. Other runs may write to them and read them meanwhile.

    Args:
        results: Name of the results that `study` or `sweep` was given; the preset's name where it was given none.
    """
    return flow.fn(ServedSettings().results(results))
