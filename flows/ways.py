"""How a study would be trained on this machine: ways and their times, memory, and the time of it all."""

import os

import torch
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from aelle_core.cells import get_cell
from aelle_core.study import Study, cohorts
from aelle_core.tasks import get_task
from aelle_core.training import fastest, trainers
from aelle_core.training.memory import networks_at_once


def show_ways(study: Study, *, threads: int, device: str, anew: bool) -> None:
    """Print a line for each cohort: its ways with seconds for a network and epoch, the chosen one marked, how many
    networks of a pack are trained at once and their memory, and the cohort's share of the total time.

    Measures what has not been measured on this kind of machine yet, and everything where `anew`.
    """
    torch.set_num_threads(threads)
    place = torch.device(device)
    task = get_task(study.task, seed=study.seed, options=study.task_options)
    task.check(study.batch_size)
    kind = trainers[task.trainer]
    console = Console()
    table = Table("cohort", "seconds for a network and epoch", "way", "at once", "memory", "hours", box=None)
    total = 0.0
    with Console(stderr=True).status("Measuring") as status:
        for cohort in cohorts(study):
            status.update(f"Measuring {cohort.name}")
            cell = get_cell(cohort.cell, task.input_size, cohort.units)
            networks = len(cohort.packs[0].variants)
            seconds = kind.epoch_seconds(cell, task, study.batch_size, networks, place, anew=anew)
            way = fastest(seconds)
            each = ", ".join(f"{name} {value:.3g}" for name, value in sorted(seconds.items(), key=lambda i: i[1]))
            bytes_each = kind.network_bytes(cell, task, study.batch_size)
            at_once = min(networks, networks_at_once(bytes_each, place))
            needed = at_once * bytes_each
            time = seconds[way] * study.epochs * study.networks
            total += time
            table.add_row(cohort.name, each, way, str(at_once), decimal(needed), f"{time / 3600:.3g}")
    side_by_side = max(1, (os.cpu_count() or 1) // threads) if place.type == "cpu" else 1
    console.print(table)
    console.print(
        f"{study.total_networks} networks, {study.epochs} epochs: about "
        f"{_duration(total / side_by_side)} of training on {device} with {side_by_side} packs side by side on "
        f"{threads} threads each, without spectra and evaluation",
        highlight=False,
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
