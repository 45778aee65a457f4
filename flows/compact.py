"""The job that merges the many small files of stored spectra into few."""

from typing import Any

from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed

from aelle_core.foundation.counting import counted
from aelle_core.store.compaction import compact as merge
from aelle_core.study import RunDirectory
from aelle_core.study.nights import Nights
from flows.jobs import job


@job("AeLLE compact")
def compact(directory: str) -> Any:
    """Merge the files of stored spectra. Other runs may write to them and read them meanwhile.

    Args:
        directory: Where the study's results lie, or a series of nights.
    """
    run = RunDirectory(directory)
    run.read_settings()
    nights = Nights(run)
    runs = [nights.run(night) for night in nights.begun()] or [run]
    done = [merge(member.store) for member in runs]
    before, after = sum(merged.before for merged in done), sum(merged.after for merged in done)
    sentence = f"{run}: {counted(before, 'file')} of spectra merged into {after}"
    create_markdown_artifact(key="compaction", markdown=sentence)
    return Completed(message=sentence, data=str(run))
