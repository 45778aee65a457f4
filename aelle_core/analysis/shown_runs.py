"""Free runs of a good and a bad network of a finished study, made again from their checkpoints for the report."""

import numpy as np

from aelle_core.cells import get_cell
from aelle_core.evaluation import NetworkExamples
from aelle_core.foundation.errors import UserError
from aelle_core.report.data import FreeRun, ShownRuns
from aelle_core.study import RunDirectory, Study, cohorts
from aelle_core.study.variants import Pack
from aelle_core.tasks import Task, get_task
from aelle_core.tasks.forecast import Forecast
from aelle_core.training import read_checkpoint, trainers
from aelle_core.training.forecast.trainer import ForecastTrainer


def exponents_of_system(study: Study) -> dict[int, float]:
    """Return the published exponents of the system that a study forecasts, by rank, in nats per step; none where the
    task knows no system, or nothing is published for its parameters."""
    try:
        task = get_task(study.task, seed=study.seed, options=study.task_options)
    except UserError:  # a plug-in's task, or data that are not on this machine
        return {}
    return task.exponents_per_step if isinstance(task, Forecast) else {}


def shown_runs(run: RunDirectory, study: Study, final: NetworkExamples) -> ShownRuns | str:
    """Return free runs of the networks at the first and at the third quarter of what the study calls good, beside what
    should have come; in one sentence why not, where they cannot be made again.

    A quarter from either end a network is typical of its side: the very best and the very worst are not.
    """
    if study.goal == "loss":
        return "The study's goal is the loss: no network runs on its own output."
    if not len(final):
        return "No network has a spectrum after the last epoch."
    order, quarter = np.argsort(final.final_loss, kind="stable"), len(final) // 4
    chosen = order[quarter], order[-1 - quarter]
    try:
        task = get_task(study.task, seed=study.seed, options=study.task_options).found_with(run.path)
        if not isinstance(task, Forecast):
            return f"The task {study.task} has no free runs."
        good, bad = (
            FreeRun(name, float(final.final_loss[row]), free_run(run, study, task, name))
            for row, name in zip(chosen, final.networks[list(chosen)].tolist(), strict=True)
        )
    except UserError as error:
        return f"{str(error).rstrip('.')}."
    return ShownRuns(task.held_out.continuation[0].double().numpy(), good, bad)


def free_run(run: RunDirectory, study: Study, task: Forecast, network: str) -> np.ndarray:
    """Return what a trained network makes of the first held-out sequence on its own output, (steps, features),
    standardised. Raises UserError where its checkpoint is not there, or is not of this study."""
    pack, index = _pack_of(study, network)
    trainer = restored(run, study, task, pack)
    held_out = task.held_out
    runs = trainer.closed_loop().outputs(held_out.context[:1], held_out.continuation.shape[1])
    return runs[index, 0].numpy()


def _pack_of(study: Study, network: str) -> tuple[Pack, int]:
    for packs in (cohort.packs for cohort in cohorts(study)):
        for number in range(len(packs)):
            if network in (names := packs.networks(number)):
                return packs[number], names.index(network)
    raise UserError(f"network {network} is not of study {study.identity}: joint studies are drawn one by one")


def restored(run: RunDirectory, study: Study, task: Task, pack: Pack) -> ForecastTrainer:
    """Return a pack after its last epoch. Raises UserError where its checkpoint is not there, or is older."""
    path = run.checkpoint(pack.name)
    if not path.exists():
        raise UserError(f"no checkpoint {str(path)!r}: expected one to run the network from")
    checkpoint = read_checkpoint(path)
    if checkpoint.epoch != study.epochs:
        raise UserError(f"checkpoint {str(path)!r} is of epoch {checkpoint.epoch}: expected {study.epochs}")
    cell = get_cell(pack.cell, task.input_size, pack.units)
    settings = [variant.settings for variant in pack.variants]
    trainer = trainers[task.trainer](cell, task, settings, batch_size=study.batch_size, way="packed")
    checkpoint.restore(trainer, [variant.network for variant in pack.variants])
    assert isinstance(trainer, ForecastTrainer)
    return trainer
