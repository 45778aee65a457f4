"""How a study would be trained on this machine: ways and their times, memory, and the time of it all."""

import os

import torch
from rich.console import Console
from rich.filesize import decimal
from rich.table import Column, Table

from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError
from aelle_core.study import Study, cohort_cost, cohorts
from aelle_core.tasks import get_task


def show_ways(study: Study, *, threads: int, device: str, anew: bool = False) -> None:
    """Print a line for each cohort: its ways with seconds for a network and epoch, the chosen one, how many networks of
    a pack are trained at once and their memory, and how long its training and its spectra take; then the whole.

    Measures what has not been measured on this kind of machine yet, and everything where `anew`. Raises UserError where
    the device is not here.
    """
    target = torch.device(device)
    if target.type == "cuda" and not torch.cuda.is_available():
        raise UserError("GPUs were asked for and this machine has none to measure on: expected one with a GPU")
    torch.set_num_threads(threads)
    task = get_task(study.task, seed=study.seed, options=study.task_options)
    task.check(study.batch_size, study.warmup)
    side_by_side = max(1, (os.cpu_count() or 1) // threads) if target.type == "cpu" else 1
    columns = ("cohort", "network and epoch", "way", "at once", "memory", "training", "spectra")
    table = Table(*(Column(title, no_wrap=True) for title in columns), box=None, pad_edge=False)
    total, memory = 0.0, 0
    with Console(stderr=True).status("Measuring") as status:
        for cohort in cohorts(study):
            status.update(f"Measuring {cohort.name}")
            cost = cohort_cost(study, cohort, task, target, anew=anew)
            ranked = sorted(cost.ways.items(), key=lambda item: item[1].seconds)
            ways = "\n".join(f"{name} {timing.seconds:.3g} s" for name, timing in ranked)
            spent = map(_duration, (cost.training, cost.spectra))
            table.add_row(
                f"{cohort.cell} {cohort.units}", ways, cost.way, str(cost.at_once), decimal(cost.memory), *spent
            )
            total += cost.training + cost.spectra
            memory = max(memory, cost.memory)
    console = Console(markup=False)
    console.print(table)
    console.print(
        f"{counted(study.total_networks, 'network')}, {counted(study.epochs, 'epoch')}: about "
        f"{_duration(total / side_by_side)} of training, validation and spectra on {device}, "
        f"{counted(side_by_side, 'pack')} of up to {decimal(memory)} side by side on {counted(threads, 'thread')} "
        "each, beside what their processes take anyway",
        highlight=False,
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
