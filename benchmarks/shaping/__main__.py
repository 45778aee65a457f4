"""`python -m benchmarks.shaping`: delayed copy and adding, five starts at equal cost, four seeds.

Rows go to docs/results/shaping.csv; what stands there is not trained again. The table goes to the terminal.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aelle_core.cells import get_cell
from aelle_core.tasks import Supervised, get_task
from aelle_core.training import PackTrainer
from benchmarks.shaping.starts import PLAIN, known, starts
from benchmarks.shared.rows import Rows

RESULTS = Path("docs/results")
KEY = ("task", "delay", "cell")
VALUES = ("start", "seed", "seconds_before", "seconds_of_an_epoch", "scale", "losses")
UNITS, SEEDS, BATCH = 64, 4, 32
EPOCHS = {"rnn": 20, "lstm": 12}
CASES = [
    (task, delay, cell)
    for cell in ("rnn", "lstm")
    for task, delay in (("delayed_copy", 20), ("adding", 30), ("delayed_copy", 70), ("adding", 70))
]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shaping", description=__doc__)
    parser.add_argument("--show", action="store_true", help="print the table of what is there, train nothing")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the CSV file")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rows = Rows(options.results / "shaping.csv", KEY, VALUES)
    for case in CASES:
        if not options.show and not rows.has(*case):
            print(*case, flush=True)
            measure(*case, rows)
    print("\n".join(table(rows)))


def measure(task_name: str, delay: int, cell_name: str, rows: Rows) -> None:
    """Train all starts of all seeds as one pack and add their rows."""
    length = {"delayed_copy": {"delay": delay}, "adding": {"length": delay}}[task_name]
    task = get_task(task_name, seed=0, options={**length, "examples": 2000})
    assert isinstance(task, Supervised)
    cell, predictor = get_cell(cell_name, task.input_size, UNITS), known()
    labels = [
        (seed, name, start) for seed in range(SEEDS) for name, start in starts(cell, task, seed, predictor).items()
    ]
    trainer = PackTrainer(cell, task, [start.settings for _, _, start in labels], batch_size=BATCH)
    with torch.no_grad():
        for index, (_, _, start) in enumerate(labels):
            for name, value in (start.weights or {}).items():
                trainer.parameters[name][index].copy_(value)
    epochs, curves = EPOCHS[cell_name], []
    begun = time.process_time()
    for result in trainer.run(epochs):
        curves.append(np.where(result.alive.numpy(), result.validation_loss.numpy(), np.inf))
    seconds = (time.process_time() - begun) / epochs / len(labels)
    rows.add(
        [
            {
                "task": task_name,
                "delay": delay,
                "cell": cell_name,
                "start": name,
                "seed": seed,
                "seconds_before": start.seconds,
                "seconds_of_an_epoch": seconds,
                "scale": start.settings.scale,
                "losses": " ".join(f"{curve[index]:.4g}" for curve in curves),
            }
            for index, (seed, name, start) in enumerate(labels)
        ]
    )


def at_equal_cost(row: dict[str, Any]) -> float:
    """Return the loss when the budget of the row's case is spent: what was paid before training leaves fewer epochs."""
    losses = [float(loss) for loss in row["losses"].split()]
    paid = float(row["seconds_before"]) / float(row["seconds_of_an_epoch"])
    return losses[max(0, len(losses) - 1 - int(np.ceil(paid)))]


def table(rows: Rows) -> Iterator[str]:
    """Yield the lines of the Markdown table: median (least to largest) over seeds."""
    names = list(dict.fromkeys(row["start"] for row in rows.rows))
    yield "| cell, task, delay | chance | " + " | ".join(names) + " |"
    yield "|---" * (len(names) + 2) + "|"
    for task, delay, cell in dict.fromkeys((row["task"], row["delay"], row["cell"]) for row in rows.rows):
        own = [row for row in rows.rows if (row["task"], row["delay"], row["cell"]) == (task, delay, cell)]
        shown = []
        for name in names:
            losses = [at_equal_cost(row) for row in own if row["start"] == name]
            paid = [
                float(row["seconds_before"]) / float(row["seconds_of_an_epoch"]) for row in own if row["start"] == name
            ]
            text = f"{np.median(losses):.3f} ({min(losses):.3f} to {max(losses):.3f})" if losses else "-"
            shown.append(text + (f", {np.median(paid):.1f} epochs paid" if losses and max(paid) > 0 else ""))
        chance = "log 8 = 2.079" if task == "delayed_copy" else "1/6 = 0.167"
        yield f"| {cell}, {task}, {delay} | {chance} | " + " | ".join(shown) + " |"
    reached: dict[tuple[str, ...], dict[str, float]] = {}
    for row in rows.rows:
        case = (row["task"], row["delay"], row["cell"], row["seed"])
        reached.setdefault(case, {})[row["start"]] = at_equal_cost(row)
    for name in names:
        own_cases = [losses for losses in reached.values() if name in losses]
        won = sum(min(losses.values()) == losses[name] for losses in own_cases)
        better = sum(losses[name] < losses[PLAIN] for losses in own_cases)
        yield f"<!-- {name}: best in {won}, better than plain in {better} of {len(own_cases)} cases and seeds -->"


if __name__ == "__main__":
    main()
