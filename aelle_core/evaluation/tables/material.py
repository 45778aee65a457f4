"""What tables are made from: networks as arrays, and measurements that several tables share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sklearn.utils.parallel import Parallel, delayed

from aelle_core.aelle.estimator import AeLLE
from aelle_core.evaluation.classifiers.base import Classifier, classifiers
from aelle_core.evaluation.examples import NetworkExamples, all_networks
from aelle_core.evaluation.metrics import Measurement
from aelle_core.evaluation.scoring import evaluate_classifiers, fit_to_training
from aelle_core.evaluation.splits.by_group import splits_by_group
from aelle_core.evaluation.splits.by_network import Split, splits_by_network
from aelle_core.evaluation.splits.protocol import Protocol, Shares, protocol_of
from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError

MINIMUM = 20


@dataclass(eq=False)
class Material:
    """The networks of one study at every epoch with spectra, by kind of spectrum ("hidden" or "full"; the first is
    the one that tables are about), and how they are judged.

    A network ends well with a final loss below `threshold`. `aelle_parameters` are those of AeLLE. Splits are by
    network, seeded, with the shares of the task's protocol; an AeLLE is fitted once to each set of training networks.
    `jobs` is how many splits are measured at a time, in processes of their own; -1 is one for each core. Raises
    UserError for fewer than 20 networks with a final spectrum.
    """

    task: str
    kinds: Mapping[str, Mapping[int, NetworkExamples]]
    threshold: float
    splits: int = 10
    seed: int = 0
    aelle_parameters: Mapping[str, Any] = field(default_factory=dict)
    jobs: int = 1
    _left_out: dict[str, tuple[list[str], list[Measurement]]] = field(default_factory=dict, init=False, repr=False)
    _fitted: dict[tuple[str, frozenset[str]], AeLLE] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.final) < MINIMUM:
            raise UserError(
                f"{counted(len(self.final), 'network')} with a final spectrum: tables expect at least {MINIMUM}"
            )

    @property
    def protocol(self) -> Protocol:
        """How the task's networks are split."""
        return protocol_of(self.task)

    @property
    def kind(self) -> str:
        """The kind of spectra that the tables are about."""
        return next(iter(self.kinds))

    @property
    def examples(self) -> Mapping[int, NetworkExamples]:
        """The networks by epoch, with spectra of that kind."""
        return self.kinds[self.kind]

    @property
    def epochs(self) -> list[int]:
        """Every epoch with spectra, in order."""
        return sorted(self.examples)

    @property
    def last_epoch(self) -> int:
        """The last epoch of training."""
        return self.epochs[-1]

    @property
    def final(self) -> NetworkExamples:
        """The networks after the last epoch."""
        return self.examples[self.last_epoch]

    @cached_property
    def everyone(self) -> NetworkExamples:
        """All networks, with those that diverged under way."""
        return all_networks(self.examples)

    @property
    def early_epochs(self) -> list[int]:
        """Epochs of the first half of training (rounded up), at most seven, the first and the last among them;
        none where the study has no spectra of it."""
        half = [epoch for epoch in self.epochs if epoch <= (self.last_epoch + 1) // 2]
        return (
            [half[index] for index in sorted({round(sixth * (len(half) - 1) / 6) for sixth in range(7)})]
            if half
            else []
        )

    @property
    def moments(self) -> list[int]:
        """Three epochs: before training, about 20 % into it, and its end."""
        fifth = min(self.examples, key=lambda epoch: (abs(epoch - 0.2 * self.last_epoch), epoch))
        return sorted({min(self.examples), fifth, self.last_epoch})

    def drawn(self, shares: Shares) -> list[Split]:
        """Return the seeded splits with these shares."""
        return splits_by_network(self.everyone, self.splits, seed=self.seed, shares=shares)

    def aelle(self, split: Split, kind: str | None = None) -> AeLLE:
        """Return the AeLLE of the split's training networks."""
        kind = kind or self.kind
        if (kind, split.train) not in self._fitted:
            self._fit([split], kind)
        return self._fitted[kind, split.train]

    def measure(
        self,
        splits: Sequence[Split],
        epochs: Sequence[int],
        chosen: Mapping[str, type[Classifier]],
        kind: str | None = None,
        threshold: float | None = None,
    ) -> list[Measurement]:
        """Return the chosen classifiers at these epochs on every split, for the study's threshold or another one."""
        kind = kind or self.kind
        examples = {epoch: self.kinds[kind][epoch] for epoch in epochs}
        self._fit([split for split in splits if (kind, split.train) not in self._fitted], kind)
        how = {"threshold": self.threshold if threshold is None else threshold, "seed": self.seed}
        by_split = Parallel(n_jobs=self.jobs)(
            delayed(evaluate_classifiers)(self._fitted[kind, split.train], examples, split, dict(chosen), **how)
            for split in splits
        )
        return [measurement for measurements in by_split for measurement in measurements]

    def _fit(self, splits: Sequence[Split], kind: str) -> None:
        final = {self.last_epoch: self.kinds[kind][self.last_epoch]}
        fitted = Parallel(n_jobs=self.jobs)(
            delayed(fit_to_training)(final, split, self.aelle_parameters, self.seed) for split in splits
        )
        self._fitted |= {(kind, split.train): aelle for split, aelle in zip(splits, fitted, strict=True)}

    @cached_property
    def at_the_end(self) -> list[Measurement]:
        """Every classifier after the last epoch."""
        return self.measure(self.drawn(self.protocol.end), [self.last_epoch], classifiers)

    @cached_property
    def early(self) -> list[Measurement]:
        """Every classifier in the first half of training."""
        return self.measure(self.drawn(self.protocol.early), self.early_epochs, classifiers)

    def left_out(self, label: str) -> tuple[list[str], list[Measurement]]:
        """Return the groups of the networks by `label`, "cells" or "units", and every classifier at three moments
        trained without a group and tested on it; `split` of a measurement is the place of its group."""
        if label not in self._left_out:
            groups, splits = zip(
                *splits_by_group(self.everyone, getattr(self.everyone, label), seed=self.seed), strict=True
            )
            self._left_out[label] = list(groups), self.measure(list(splits), self.moments, classifiers)
        return self._left_out[label]
