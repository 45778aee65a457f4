"""Networks side by side by torch.func, as torch's tutorial on model ensembling has it: stack_module_state,
functional_call, and vmap of the gradient; then torch.optim.Adam on the stacked parameters."""

import copy
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.nn import functional


class Ensemble:
    """Modules of one kind, each on its own mini-batches and with its own clip of the norm; one learning rate for all,
    as torch's Adam has it. `said` holds what torch warned of."""

    def __init__(self, models: Sequence[nn.Module], *, learning_rate: float, clip: float = 1.0) -> None:
        self.parameters, _ = stack_module_state(list(models))  # type: ignore[arg-type]
        self.clip = clip
        self.optimiser = torch.optim.Adam(self.parameters.values(), lr=learning_rate)
        self.said: set[str] = set()
        skeleton = copy.deepcopy(models[0])

        def loss(parameters: dict[str, Tensor], targets: Tensor, *given: Tensor) -> Tensor:
            return functional.cross_entropy(functional_call(skeleton, parameters, given), targets)

        self._gradients = vmap(grad_and_value(loss), randomness="different")

    def train(
        self,
        inputs: Tensor,
        targets: Tensor,
        orders: Tensor,
        batch_size: int,
        noises: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """One pass over the examples in the orders (networks, examples); the mean losses (networks,), nats. `noises`,
        one for each mini-batch, are (networks, time, batch, units)."""
        total = inputs.new_zeros(len(orders))
        for index, chosen in enumerate(orders.split(batch_size, dim=1)):
            given = (inputs[chosen],) if noises is None else (inputs[chosen], noises[index])
            with warnings.catch_warnings(record=True) as caught:
                gradients, losses = self._gradients(self.parameters, targets[chosen], *given)
            self.said |= {str(warning.message).split(". ")[0] for warning in caught}
            squares = torch.stack([gradient.flatten(1).square().sum(dim=1) for gradient in gradients.values()])
            factors = (self.clip / (squares.sum(dim=0).sqrt() + 1e-6)).clamp(max=1.0)
            for name, gradient in gradients.items():
                self.parameters[name].grad = gradient * factors.view(-1, *[1] * (gradient.dim() - 1))
            self.optimiser.step()
            total += losses.detach() * chosen.shape[1]
        return total / orders.shape[1]
