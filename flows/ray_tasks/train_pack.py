"""Train one pack inside a Ray task. Importing this imports neither Prefect nor Ray."""

from functools import lru_cache

from aelle_core.study import Packs, PackSummary, RunDirectory, run_pack
from aelle_core.study.faults import place_failures_named
from aelle_core.tasks import Task, get_task


@lru_cache(maxsize=2)
def _shared_task(name: str, seed: int, options: tuple[tuple[str, object], ...]) -> Task:
    """Return a task; a worker process reads its data once, however many packs it trains."""
    return get_task(name, seed=seed, options=dict(options))


def train_pack(packs: Packs, number: int, directory: str, device: str, threads: int, way: str | None) -> PackSummary:
    """Train one of a cohort's packs into the run directory; see aelle_core.study.run_pack.

    Raises PlaceError where the directory fails.
    """
    import torch

    torch.set_num_threads(threads)
    study, run = packs.study, RunDirectory(directory)
    with place_failures_named(run):
        task = _shared_task(study.task, study.seed, tuple(sorted(study.task_options.items())))
        return run_pack(study, packs[number], run, task=task, device=device, way=way)
