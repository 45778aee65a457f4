"""Train one pack inside a Ray task. Importing this imports neither Prefect nor Ray."""

import json
from functools import lru_cache

from aelle_core.study import Packs, PackSummary, RunDirectory, run_pack
from aelle_core.study.faults import place_failures_named
from aelle_core.tasks import Task, get_task


@lru_cache(maxsize=2)
def _shared_task(name: str, seed: int, options: str, directory: str) -> Task:
    """Return a task with its `options` (JSON) and the data kept with its run: a worker process reads them once, however
    many packs it trains."""
    return get_task(name, seed=seed, options=json.loads(options)).found_with(RunDirectory(directory).path)


def train_pack(packs: Packs, number: int, directory: str, device: str, threads: int, way: str | None) -> PackSummary:
    """Train one of a cohort's packs into the run directory; see aelle_core.study.run_pack.

    Raises PlaceError where the directory fails.
    """
    import torch

    torch.set_num_threads(threads)
    study, run = packs.study, RunDirectory(directory)
    with place_failures_named(run):
        task = _shared_task(study.task, study.seed, json.dumps(study.task_options, sort_keys=True), directory)
        return run_pack(study, packs[number], run, task=task, device=device, way=way)
