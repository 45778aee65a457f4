"""The flow that chooses among untrained networks of a study by their spectra, and trains the ones it keeps."""

from typing import Any

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from aelle_core.files.atomic import write_atomically
from aelle_core.files.places import resolved
from aelle_core.foundation.counting import counted
from aelle_core.screening import SpectrumPredictor, Sweep
from aelle_core.study import RunDirectory, Study
from aelle_core.study.candidates import drawn_in_words
from aelle_core.study.screened import Screened, screen_study
from aelle_core.tasks import get_task
from flows.jobs import completed, job
from flows.parameters import Resources, ScreeningParameters, StudyParameters
from flows.sweep import train_networks

KEPT = "kept.json"


@task(name="rank untrained networks", cache_policy=NO_CACHE, persist_result=False)
def rank(study: Study, parameters: ScreeningParameters) -> Screened:
    """Draw candidates, take their spectra, and keep the best by the loss to expect."""
    data = get_task(study.task, seed=study.seed, options=study.task_options)
    data.check(study.batch_size, study.warmup)
    predictor = SpectrumPredictor().fit(Sweep.load(parameters.source))
    return screen_study(
        study,
        data,
        predictor,
        candidates=parameters.candidates,
        keep=parameters.keep,
        sequences=parameters.sequences,
    )


def kept_table(chosen: Screened) -> list[dict[str, str]]:
    """Return a row for each kept network, best first, under headings in words."""
    return [
        {
            "network": row["network"],
            "expected loss": f"{row['expected_loss']:.4g}",
            "spread": f"{row['spread']:.2g}",
            "distance to what is known": f"{row['distance']:.2g}",
            "settings": drawn_in_words(row["hyperparameters"]),
        }
        for row in chosen.rows()
    ]


@job("AeLLE screening")
def screen(
    study: StudyParameters,
    directory: str,
    parameters: ScreeningParameters | None = None,
    resources: Resources | None = None,
) -> Any:
    """Rank untrained networks of a study by the loss to expect from their spectra, and train the best of them.

    Returns the file of the kept networks, which also is in the results' directory. Submitted again, training continues
    where it was stopped.

    Args:
        study: Whose ranges candidates are drawn from.
        directory: Where the results go; shared by all nodes of the cluster.
        parameters: How candidates are chosen.
        resources: Where packs run, and what each of them takes.
    """
    parameters = parameters or ScreeningParameters()
    run = RunDirectory(resolved(directory))
    chosen = rank(study.to_study(), parameters)
    create_table_artifact(
        key="kept-networks",
        table=kept_table(chosen),
        description=f"{len(chosen.ranked)} of {counted(len(chosen.drawn), 'untrained network')}, "
        "best first by the expected loss",
    )
    if parameters.train:
        train_networks(chosen.study, str(run), resources or Resources())
    kept = run.path / KEPT
    write_atomically(kept, lambda temporary: temporary.write_text(chosen.to_json()))
    if not parameters.train:
        return str(kept)
    return completed(run, str(kept), f"kept networks: {kept}; results: {run}")
