"""AeLLE on the spectra that ship: how refits with other seeds agree, how it ranks, what its intervals hold.

    python -m benchmarks.estimator                         # all studies that ship, five seeds; a quarter of an hour
    python -m benchmarks.estimator smnist target --seeds 3
    python -m benchmarks.estimator --fit                   # only how long a fit of 1,000 spectra takes

A network is good where it ends below its study's median loss. F1 is of the paper's rule, the first component below its
median, on ten splits by network; each seed fits other networks to the same splits.
"""

import time
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from scipy.stats import spearmanr
from sklearn.metrics import f1_score

from aelle_core.aelle import AeLLE
from aelle_core.analysis.shipped.studies import shipped_studies
from aelle_core.analysis.trained import joint_examples
from aelle_core.evaluation import NetworkExamples, all_networks, median_threshold, protocol_of, splits_by_network
from aelle_core.pretrained import manifest
from benchmarks.shared.page import describe_machine
from benchmarks.shared.tables import Table

SPLITS = 10
FITTED = 1000
REPETITIONS = 5


def refits(name: str, seeds: int) -> tuple[str, ...]:
    """The row of a study: F1 and its spread over seeds, rank correlation, share in the 90 % interval, steps."""
    trained = shipped_studies(name)
    study = trained[0].study
    examples, _ = joint_examples(trained)
    final, everyone = examples[study.epochs], all_networks(examples)
    threshold = median_threshold(everyone.final_loss)
    splits = splits_by_network(everyone, SPLITS, seed=0, shares=protocol_of(study.task).end)
    scores, ranks, held, steps = [], [], [], set()
    for seed in range(seeds):
        judgements = [judged(final, split.train, split.test, threshold, 100 * seed + split.number) for split in splits]
        scores.append(np.mean([judgement[0] for judgement in judgements]))
        ranks.append(np.mean([judgement[1] for judgement in judgements]))
        held.append(np.mean([judgement[2] for judgement in judgements]))
        steps |= {judgement[3] for judgement in judgements}
    spread = f"{np.mean(scores):.3f} ({min(scores):.3f} to {max(scores):.3f})"
    return (
        name,
        str(len(final)),
        spread,
        f"{np.std(scores, ddof=1):.3f}",
        f"{np.mean(ranks):.3f}",
        (f"{np.mean(held):.3f}"),
        " or ".join(map(str, sorted(steps))),
    )


def judged(
    final: NetworkExamples, train: frozenset[str], test: frozenset[str], threshold: float, seed: int
) -> tuple[float, float, float, int]:
    """F1 of the median rule, rank correlation of the prediction, share of losses in the interval, steps chosen."""
    fitted, unseen = final.of(train), final.of(test)
    model = AeLLE(random_state=seed).fit(fitted.spectra, fitted.final_loss)
    predicted, low, high = model.predict(unseen.spectra, return_interval=True)
    good = model.predict_high_accuracy(unseen.spectra)
    inside = (low <= unseen.final_loss) & (unseen.final_loss <= high)
    rank = spearmanr(predicted, unseen.final_loss).statistic
    return f1_score(unseen.final_loss < threshold, good), rank, inside.mean(), model.steps_


def fit_seconds(size: int) -> tuple[str, ...]:
    """The row of a fit of 1,000 made spectra (1,000, size): the shortest of some repetitions, wall and processor."""
    random = np.random.default_rng(0)
    spectra = -np.sort(random.exponential(1, (FITTED, size)), axis=1)
    losses = np.exp(spectra[:, 0] + 0.1 * random.standard_normal(FITTED))
    wall, processor = [], []
    for _ in range(REPETITIONS):
        started, used = time.perf_counter(), time.process_time()
        AeLLE(random_state=0).fit(spectra, losses)
        wall.append(time.perf_counter() - started)
        processor.append(time.process_time() - used)
    return str(size), f"{min(wall):.2f}", f"{min(processor):.2f}", str(torch.get_num_threads())


def main(
    names: Annotated[list[str] | None, typer.Argument(help="Studies that ship; all by default.")] = None,
    seeds: Annotated[int, typer.Option(min=2, help="Refits of each split.")] = 5,
    fit: Annotated[bool, typer.Option("--fit", help="Only time fits.")] = False,
) -> None:
    """Print how AeLLE does on what ships."""
    console = Console(width=140)
    console.print(describe_machine("scikit-learn"))
    if not fit:
        columns = ("study", "networks", "F1 of the median rule", "deviation", "rank", "in 90 % interval", "steps")
        note = f"mean over {SPLITS} splits; in brackets the lowest and highest of {seeds} seeds"
        table = Table("Refits with other seeds", note, columns)
        for name in names or list(manifest()):
            table.rows.append(refits(name, seeds))
        console.print(table.rich())
    timed = Table(f"A fit of {FITTED} spectra", "seconds", ("exponents", "wall", "processor", "threads"))
    timed.rows += [fit_seconds(32), fit_seconds(64)]
    console.print(timed.rich())


if __name__ == "__main__":
    typer.run(main)
