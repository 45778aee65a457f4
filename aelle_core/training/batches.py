"""Mini-batches as the ways want them: time before batch."""

from torch import Tensor

from aelle_core.tasks import Examples


def time_first(targets: Tensor) -> Tensor:
    """Targets (..., count, time) of tasks that are read out at every step as (..., time * count): in the order of the
    rows of hidden states."""
    return targets.mT.flatten(-2)


def mini_batch(examples: Examples, chosen: Tensor, readout: str) -> tuple[Tensor, Tensor]:
    """Of the examples (networks, batch): inputs (networks, time, batch, features), and targets (networks, batch), or
    (networks, time * batch) where there is one at every step."""
    inputs = examples.inputs.index_select(0, chosen.flatten()).unflatten(0, chosen.shape)
    targets = examples.targets[chosen]
    return inputs.transpose(1, 2).contiguous(), time_first(targets) if readout == "every" else targets
