"""Read finished studies for an evaluation: examples, threshold and splits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aelle_core.analysis.across_systems import UNIT
from aelle_core.analysis.trained import MISSING, Trained, joint_examples, own_threshold
from aelle_core.evaluation import NetworkExamples, Split, all_networks, median_threshold, protocol_of, splits_by_network
from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError
from aelle_core.store.dataset import SpectraStore
from aelle_core.study import QuarantinedPack, Study
from aelle_core.study.joint import across_systems
from aelle_core.study.quarantine import quarantined_sentence


@dataclass(frozen=True)
class Analysis:
    """What is analysed: the studies, their networks at every epoch, the loss (nats) below which one ended well, the
    splits, how many networks ended with which status, and in one sentence which are missing (empty: none)."""

    trained: Sequence[Trained]
    examples: dict[int, NetworkExamples]
    threshold: float
    splits: list[Split]
    status_counts: dict[str, int]
    missing: str = ""

    @property
    def across_systems(self) -> bool:
        """Whether the studies forecast several systems."""
        return across_systems([part.study for part in self.trained])

    @property
    def unit(self) -> str:
        """The unit of the exponents."""
        return UNIT if self.across_systems else "nats per step"

    @property
    def nights(self) -> list[str]:
        """The dates of the nights that are analysed together, in order; none where it is no series of nights."""
        return [part.night for part in self.trained if part.night is not None]


def prepare_analysis(
    store: SpectraStore, study: Study, *, splits: int, seed: int, quarantined: Sequence[QuarantinedPack] = ()
) -> Analysis:
    """Read a finished study for the evaluation. Raises UserError when it is not finished: when networks are missing
    that do not belong to `quarantined` packs."""
    return prepare_joint_analysis([Trained(store, study, quarantined)], splits=splits, seed=seed)


def check_enough_networks(study: Study) -> None:
    """Raise UserError where a study trains fewer networks than an analysis of it can split."""
    protocol_of(study.task).end.check(study.total_networks)


def prepare_joint_analysis(trained: Sequence[Trained], *, splits: int, seed: int) -> Analysis:
    """Read finished studies of one shape for an evaluation of all their networks.

    Raises UserError when one is not finished, where `check_joinable` does, and when all networks ended on one side of
    the threshold.
    """
    study = trained[0].study
    examples, status_counts = joint_examples(trained)
    everyone = all_networks(examples)
    losses = everyone.final_loss
    own = own_threshold(trained)
    threshold = median_threshold(losses) if own is None else own
    if not 0 < np.count_nonzero(losses < threshold) < len(losses):
        low, high = losses.min(), losses.max()
        raise UserError(
            f"study {study.identity}: all final losses, {low:.3g} to {high:.3g}, are on one side of the threshold "
            f"{threshold:g}: expected networks on both"
        )
    missing = ""
    if count := status_counts.get(MISSING, 0):
        given_up = [pack for part in trained for pack in part.quarantined]
        networks = sum(part.study.total_networks for part in trained)
        verb = "is" if count == 1 else "are"
        missing = f"{count} of {counted(networks, 'network')} {verb} missing: {quarantined_sentence(given_up)}"
    drawn = splits_by_network(everyone, splits, seed=seed, shares=protocol_of(study.task).end)
    return Analysis(trained, examples, threshold, drawn, status_counts, missing)
