"""How the networks inside AeLLE are trained."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from aelle_core.aelle.autoencoder import Autoencoders, Gradients
from aelle_core.foundation.errors import UserError

_MEAN_RATE, _SQUARE_RATE, _EPSILON = 0.9, 0.999, 1e-8  # Adam's
_FULL_BATCH, _PART_BATCH = 512, 256  # examples: with more than the first, "auto" draws the second

BatchSize = int | Literal["auto"] | None


@dataclass(frozen=True)
class Schedule:
    """How long, how fast and by which objective is trained.

    alphas         weight of the prediction error against the reconstruction error, stage by stage, of equal length
    steps          updates in all
    learning_rate  of AdamW, falling to zero as a half cosine where `decays`
    weight_decay   of the predictor's weights alone
    batch_size     examples of an update; None for all; "auto" for all up to 512, and 256 of more
    """

    alphas: Sequence[float]
    steps: int
    learning_rate: float
    decays: bool
    weight_decay: float
    batch_size: BatchSize

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        return self.learning_rate * (0.5 * (1 + math.cos(math.pi * step / self.steps)) if self.decays else 1.0)

    def alpha(self, step: int) -> float:
        """Return the weight of the prediction error at a step."""
        return self.alphas[step * len(self.alphas) // self.steps]


@dataclass(frozen=True)
class Share:
    """Examples of each member: inputs (members, m, D), targets and weights (members, m, 1). Weights are 1 / count, and
    0 where a smaller share is filled up."""

    inputs: Tensor
    targets: Tensor
    weights: Tensor

    @classmethod
    def of(cls, inputs: Tensor, targets: Tensor, chosen: Sequence[Tensor]) -> "Share":
        """Return the share of inputs (n, D) and targets (n,) that is `chosen`, by index, for each member."""
        longest = max(map(len, chosen))
        index = torch.stack([torch.cat([rows, rows.new_zeros(longest - len(rows))]) for rows in chosen])
        weights = torch.stack([(torch.arange(longest) < len(rows)).to(inputs.dtype) / len(rows) for rows in chosen])
        return cls(inputs[index], targets[index].unsqueeze(-1), weights.unsqueeze(-1))


@dataclass(frozen=True)
class Shares:
    """What each member trains on and what it was kept from, or all where it was kept from nothing; and the examples of
    all, inputs (n, D) and targets (n,), with which of them each member was kept from, (members, n) bool."""

    trained: Share
    judged: Share
    all_inputs: Tensor
    held_out: Tensor

    @classmethod
    def folded(cls, inputs: Tensor, targets: Tensor, parts: Sequence[Tensor]) -> "Shares":
        """Return the shares of inputs (n, D) and targets (n,) in which each member trains on all examples but those of
        its part, given by index."""
        everyone = torch.arange(len(targets))
        held_out = torch.stack([torch.isin(everyone, part) for part in parts])
        judged = [everyone[held] if held.any() else everyone for held in held_out]
        trained = [everyone[~held] for held in held_out]
        return cls(Share.of(inputs, targets, trained), Share.of(inputs, targets, judged), inputs, held_out)

    def batch(self, size: BatchSize, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Return inputs (members, m, D), targets and weights (members, m, 1) of one update, with m = `size`, or all."""
        share = self.trained
        count = share.weights.shape[1]
        if size == "auto":
            size = _PART_BATCH if count > _FULL_BATCH else None
        if size is None or size >= count:
            return share.inputs, share.targets, share.weights
        chosen = torch.randperm(count, generator=generator)[:size]
        inputs, targets, weights = (part[:, chosen] for part in (share.inputs, share.targets, share.weights))
        return inputs, targets, weights / weights.sum(1, keepdim=True).clamp_min(1e-12)

    @torch.no_grad()
    def held_out_predictions(self, model: Autoencoders) -> np.ndarray:
        """Return the mean prediction of the members that did not train on an example, for each example that has such
        members, in order: (examples,)."""
        predicted = model.predict(model.encode(self.all_inputs))
        counts = self.held_out.sum(0)
        kept = counts > 0
        return ((predicted * self.held_out).sum(0)[kept] / counts[kept]).double().numpy()

    @torch.no_grad()
    def held_out_error(self, model: Autoencoders, alpha: float) -> float:
        """Return the mean over members of the objective on the examples that they were kept from, or on all."""
        share = self.judged
        codes = model.encode(share.inputs)
        wrong = (model.predictor(codes) - share.targets).square()
        rebuilt = (model.decode(codes) - share.inputs).square().mean(-1, keepdim=True)
        each = (rebuilt + alpha * wrong).mul_(share.weights)
        return each.sum().item() / (model.members * (1 + alpha))


def train(
    model: Autoencoders, shares: Shares, schedule: Schedule, generator: torch.Generator, *, keep_best: bool, every: int
) -> list[float]:
    """Train all members at once with AdamW, and return the objective on held-out examples, at regular steps.

    The last state stays, or with `keep_best` the one with the lowest such objective, measured with the last alpha:
    objectives of different alphas cannot be compared. Raises UserError where training leads to no finite number.
    """
    gradients = Gradients(model)
    mean, square = torch.zeros_like(model.parameters), torch.zeros_like(model.parameters)
    history: list[float] = []
    best, best_state = math.inf, model.parameters.clone()
    for step in range(schedule.steps):
        alpha, rate = schedule.alpha(step), schedule.rate(step)
        # Divided by 1 + alpha: the size of the gradient then does not depend on the stage.
        batch = shares.batch(schedule.batch_size, generator)
        gradients.compute(*batch, 1 / (1 + alpha), alpha / (1 + alpha))
        model.predictor.weight.mul_(1 - rate * schedule.weight_decay)
        mean.lerp_(gradients.vector, 1 - _MEAN_RATE)
        square.mul_(_SQUARE_RATE).addcmul_(gradients.vector, gradients.vector, value=1 - _SQUARE_RATE)
        size = (square / (1 - _SQUARE_RATE ** (step + 1))).sqrt_().add_(_EPSILON)
        model.parameters.addcdiv_(mean, size, value=-rate / (1 - _MEAN_RATE ** (step + 1)))
        if (step + 1) % every == 0 or step + 1 == schedule.steps:
            history.append(shares.held_out_error(model, schedule.alphas[-1]))
            if keep_best and history[-1] < best:
                best, best_state = history[-1], model.parameters.clone()
    if keep_best:
        model.parameters.copy_(best_state)
    if not (math.isfinite(history[-1]) and bool(model.parameters.isfinite().all())):
        raise UserError(f"learning_rate={schedule.learning_rate!r}: training diverged; expected a smaller one")
    return history
