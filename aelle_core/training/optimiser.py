"""Adam over stacked parameters, with a learning rate, a clip and a fate for each network."""

from collections.abc import Mapping

import torch
from torch import Tensor


class PackedAdam:
    """Adam (Kingma & Ba 2015, algorithm 1) on parameters (networks, ...), in place.

    `learning_rates` and `clips` are (networks,). The gradient of each network is scaled to a norm of at most its
    clip, over all of its parameters. A network whose gradient or loss is not finite is left where it is from then
    on, and `alive` (networks,) turns False for it; the others do not notice.
    """

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        learning_rates: Tensor,
        clips: Tensor,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ) -> None:
        self.parameters = dict(parameters)
        self.learning_rates = learning_rates
        self.clips = clips
        self.betas = betas
        self.epsilon = epsilon
        self.steps = 0
        self.first = {name: torch.zeros_like(value) for name, value in self.parameters.items()}
        self.second = {name: torch.zeros_like(value) for name, value in self.parameters.items()}
        self.alive = torch.ones(len(learning_rates), dtype=torch.bool, device=learning_rates.device)

    @torch.no_grad()
    def step(self, losses: Tensor) -> None:
        """One update from the gradients of `losses`, (networks,), which `backward` has left on the parameters."""
        gradients = {name: value.grad for name, value in self.parameters.items() if value.grad is not None}
        squares = torch.stack([gradient.flatten(1).square().sum(dim=1) for gradient in gradients.values()])
        norms = squares.sum(dim=0).sqrt()
        self.alive &= norms.isfinite() & losses.isfinite()
        factors = torch.where(self.alive, (self.clips / (norms + 1e-6)).clamp(max=1.0), 0.0)
        self.steps += 1
        beta1, beta2 = self.betas
        # Both bias corrections folded into one step size, with epsilon scaled to match.
        correction2 = (1 - beta2**self.steps) ** 0.5
        rates = torch.where(self.alive, self.learning_rates * correction2 / (1 - beta1**self.steps), 0.0)
        for name, gradient in gradients.items():
            shape = (-1, *[1] * (gradient.dim() - 1))
            clipped = torch.where(self.alive.view(shape), gradient * factors.view(shape), 0.0)
            first = self.first[name].lerp_(clipped, 1 - beta1)
            second = self.second[name].mul_(beta2).addcmul_(clipped, clipped, value=1 - beta2)
            update = first / second.sqrt().add_(self.epsilon * correction2)
            self.parameters[name].sub_(update.mul_(rates.view(shape)))
            self.parameters[name].grad = None
