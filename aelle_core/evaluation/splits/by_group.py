"""Splits that leave a whole group of networks out: a cell, or a size, that nobody has seen."""

import numpy as np
from sklearn.model_selection import train_test_split

from aelle_core.evaluation.examples import NetworkExamples
from aelle_core.evaluation.splits.by_network import Split


def splits_by_group(
    examples: NetworkExamples, groups: np.ndarray, *, seed: int, validation: float = 0.2
) -> list[tuple[str, Split]]:
    """Return for each group of `groups` (n,) its name and the split that tests on all its networks. Of the other
    networks the share `validation` chooses cuts and the rest trains, with the same share of each group."""
    splits = []
    for number, group in enumerate(dict.fromkeys(groups.tolist())):
        inside = groups == group
        others = groups[~inside]
        counts = np.unique(others, return_counts=True)[1]
        stratify = others if counts.min() >= 2 and validation * len(others) >= len(counts) else None
        train, chosen = train_test_split(
            examples.networks[~inside], test_size=validation, stratify=stratify, random_state=seed
        )
        names = (train, chosen, examples.networks[inside])
        splits.append((str(group), Split(number, *(frozenset(map(str, part)) for part in names))))
    return splits
