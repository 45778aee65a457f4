"""The deployment `compact`: merge the many small files of stored spectra into few."""

from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed

from aelle_core.store.compaction import compact as merge
from aelle_core.study import RunDirectory
from aelle_core.study.nights import Nights
from flows.processes.stale_runs import WATCHED
from flows.served.mistakes import fails_in_one_sentence
from flows.served.settings import ServedSettings


@flow(name="AeLLE compact", persist_result=False, **WATCHED)
@fails_in_one_sentence
def compact(results: str = "digits") -> Any:
    """Merge the files of stored spectra. Runs that write to them, and readers, may go on beside it.

    Args:
        results: Name of the results, as `study` or `sweep` was given it; of the preset where it was given none.
    """
    run = RunDirectory(ServedSettings().results(results))
    run.read_settings()
    nights = Nights(run)
    runs = [nights.run(night) for night in nights.begun()] or [run]
    done = [merge(each.store) for each in runs]
    before, after = sum(each.before for each in done), sum(each.after for each in done)
    sentence = f"{run}: {before} files of spectra merged into {after}"
    create_markdown_artifact(key="compaction", markdown=sentence)
    return Completed(message=sentence)
