"""What a study is going to do: shown before anything is trained."""

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from aelle_core.cells import get_cell
from aelle_core.foundation.counting import counted
from aelle_core.store.schema import estimated_row_bytes
from aelle_core.study import Study, cohorts
from aelle_core.tasks import get_task
from aelle_core.training import trainers


def show_plan(plan: Study, directory: str) -> None:
    """Print the cohorts with what they draw from, and the size of it all on disk."""
    task = get_task(plan.task, seed=plan.seed, options=plan.task_options)
    table = Table("cohort", "networks", "packs", "parameters", "ranges", box=None, pad_edge=False)
    groups = cohorts(plan)
    weights = 0
    for group in groups:
        cell = get_cell(group.cell, task.input_size, group.units)
        count, held = trainers[task.trainer].size(cell, task)
        weights += held * len(group.packs.numbers)
        varied = {name: bounds for name, bounds in plan.cell_ranges(group.cell).items() if bounds.varies}
        ranges = ", ".join(f"{name} {bounds}" for name, bounds in varied.items())
        table.add_row(group.name, str(len(group.packs.numbers)), str(len(group.packs)), str(count), ranges)
    console = Console(markup=False)
    console.print(table)
    packs = sum(len(group.packs) for group in groups)
    epochs = sum(map(plan.has_spectra, range(plan.epochs + 1)))
    kept = [(len(g.packs.numbers), min(g.units, plan.exponents or g.units) * len(plan.spectra)) for g in groups]
    spectra = epochs * sum(networks * estimated_row_bytes(exponents) for networks, exponents in kept)
    console.print(
        f"{counted(plan.total_networks, 'network')} in {counted(packs, 'pack')}, {counted(plan.epochs, 'epoch')} of "
        f"{counted(task.steps, 'step')}, {counted(packs * (plan.epochs + 1), 'fragment')}; on disk about "
        f"{decimal(spectra)} of spectra and {decimal(weights)} of checkpoints in {directory}",
        highlight=False,
    )
