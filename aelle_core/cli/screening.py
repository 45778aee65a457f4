"""`aelle screen`: draw untrained networks of a study, rank them by their spectra, and keep the best."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from aelle_core.files.atomic import write_atomically
from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError
from aelle_core.screening import SpectrumPredictor, Sweep
from aelle_core.screening.replay import Replay, replay
from aelle_core.study import get_preset
from aelle_core.study.candidates import Candidate, drawn_in_words
from aelle_core.study.cost import cohort_cost
from aelle_core.study.screened import screen_study
from aelle_core.study.variants import cohorts
from aelle_core.tasks import get_task

if TYPE_CHECKING:
    from aelle_core.screening import Ranked
    from aelle_core.study import Study

_SHOWN = 20


def run_screening(
    space: str,
    source: str,
    *,
    candidates: int,
    keep: int,
    sequences: int,
    seed: int,
    cells: list[str] | None,
    data: str | None,
    output: Path | None,
    with_replay: bool,
) -> None:
    """Draw, rank, print, and write what is kept. Raises UserError on what does not fit together."""
    console = Console()
    study = get_preset(space).replace(seed=seed)
    if cells:
        study = study.replace(cells=tuple(cells))
    if data is not None:
        study = study.replace(task_options={**study.task_options, "directory": data})
    if not 1 <= keep <= candidates:
        raise UserError(f"--keep {keep}: expected 1 to {candidates}, the candidates")
    sweep = Sweep.load(source)
    task = get_task(study.task, seed=study.seed, options=study.task_options)
    begun = time.perf_counter()
    predictor = SpectrumPredictor().fit(sweep)
    screened = screen_study(study, task, predictor, candidates=candidates, keep=keep, sequences=sequences)
    whole, drawn, ranked = screened.whole, screened.drawn, screened.ranked
    seconds = time.perf_counter() - begun
    training = _training_seconds(whole, task)
    of_kept = training * len(ranked) / len(drawn)
    console.print(
        f"{counted(len(drawn), 'candidate')} of {', '.join(whole.cells)} screened in {seconds:.1f} s; training them "
        f"all would take about {_span(training)}, the {counted(len(ranked), 'kept one')} about {_span(of_kept)}.",
        highlight=False,
    )
    console.print(_table(ranked, drawn, predictor), _unlike(ranked), sep="\n", highlight=False)
    if output is not None:
        write_atomically(output, lambda temporary: temporary.write_text(screened.to_json()))
        console.print(f"kept: {output}; train them with Study.from_dict(json.load(open({str(output)!r}))['study'])")
    if with_replay:
        _print_replay(console, replay(sweep), source)


def _training_seconds(study: "Study", task: Any) -> float:
    import torch

    return sum(cohort_cost(study, cohort, task, torch.device("cpu")).training for cohort in cohorts(study))


def _span(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )


def _table(ranked: "Sequence[Ranked]", drawn: Sequence[Candidate], predictor: SpectrumPredictor) -> Table:
    table = Table("rank", "network", "expected loss", "spread", "distance", "drawn", box=None, pad_edge=False)
    for rank, network in enumerate(ranked[:_SHOWN], 1):
        candidate = drawn[network.index]
        seen = "" if candidate.cell in predictor.cells else " (cell never seen)"
        table.add_row(
            str(rank),
            f"{candidate.variant.network}{seen}",
            f"{network.predicted:.3f}",
            f"{network.spread:.3f}",
            f"{network.distance:.2f}{' !' if network.unlike else ''}",
            drawn_in_words(candidate.variant.hyperparameters),
        )
    return table


def _unlike(ranked: "Sequence[Ranked]") -> str:
    count = sum(network.unlike for network in ranked)
    if not count:
        return "All kept candidates are like networks that the predictor knows."
    return f"! {count} of them are unlike all that the predictor knows: their expected loss is a guess."


def _print_replay(console: Console, replay: Replay, source: str) -> None:
    table = Table("regret at", *(f"{share:.0%}" for share in replay.shares), box=None, pad_edge=False)
    for method, values in sorted(replay.regret.items(), key=lambda entry: float(entry[1].mean())):
        spread = replay.spread[method]
        table.add_row(method, *(f"{value:.3f} ± {own:.3f}" for value, own in zip(values, spread, strict=True)))
    console.print(
        f"\nReplay on {source}: how far the chosen network's loss is above the best, as a share of it, for a share of "
        f"the price of the whole sweep (mean and standard error over five folds; a spectrum costs {replay.price:g} "
        "epochs).",
        highlight=False,
    )
    console.print(table, replay.verdict, sep="\n", highlight=False)
