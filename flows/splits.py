"""Scoring one split inside a Ray task."""

from aelle_core.analysis import Analysis
from aelle_core.evaluation import Measurement, evaluate_split


def measure_split(analysis: Analysis, number: int, aelle_parameters: dict[str, object], seed: int) -> list[Measurement]:
    """Fit and score all classifiers on one split; see aelle_core.evaluation.evaluate_split."""
    import torch

    torch.set_num_threads(1)
    return evaluate_split(
        analysis.examples,
        analysis.splits[number],
        threshold=analysis.threshold,
        aelle_parameters=aelle_parameters,
        seed=seed,
    )
