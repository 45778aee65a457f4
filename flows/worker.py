"""What runs inside a Ray task. Importing this imports neither Prefect nor Ray."""

from functools import lru_cache

from aelle_core.study import Pack, PackSummary, RunDirectory, Study, run_pack
from aelle_core.tasks import Task, get_task


@lru_cache(maxsize=2)
def _shared_task(name: str, seed: int, options: tuple[tuple[str, object], ...]) -> Task:
    """A worker process reads a task's data once, however many packs it trains."""
    return get_task(name, seed=seed, options=dict(options))


def train_pack(study: Study, pack: Pack, directory: str, device: str, threads: int, way: str | None) -> PackSummary:
    """Train one pack into the run directory; see aelle_core.study.run_pack."""
    import torch

    torch.set_num_threads(threads)
    task = _shared_task(study.task, study.seed, tuple(sorted(study.task_options.items())))
    return run_pack(study, pack, RunDirectory(directory), task=task, device=device, way=way)
