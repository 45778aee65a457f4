"""The form of `compact`: merge the many small files of stored spectra into few."""

from typing import Any

from flows.compact import compact as flow
from flows.jobs import form_of
from flows.served.forms import ResultsName
from flows.served.settings import ServedSettings


@form_of(flow)
def compact(results: ResultsName = "digits") -> Any:
    """Merge the files of stored spectra. Other runs may write to them and read them meanwhile.

    Args:
        results: As the run that trained them was given it; the preset's name where it was given none.
    """
    return flow.fn(ServedSettings().results(results))
