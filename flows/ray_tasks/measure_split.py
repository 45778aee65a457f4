"""Scoring one split inside a Ray task."""

from collections.abc import Mapping

from aelle_core.evaluation import Measurement, NetworkExamples, Split, evaluate_split


def measure_split(
    examples: Mapping[int, NetworkExamples],
    split: Split,
    threshold: float,
    aelle_parameters: Mapping[str, object],
    seed: int,
) -> list[Measurement]:
    """Fit and score all classifiers on one split; see aelle_core.evaluation.evaluate_split."""
    import torch

    torch.set_num_threads(1)
    return evaluate_split(examples, split, threshold=threshold, aelle_parameters=aelle_parameters, seed=seed)
