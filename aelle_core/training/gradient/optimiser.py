"""Adam over stacked parameters, with a learning rate, a clip and a fate for each network."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


class PackedAdam:
    """Adam (Kingma & Ba 2015, algorithm 1) on parameters (networks, ...), in place.

    `learning_rates` and `clips` are (networks,). The gradient of each network is scaled to a norm of at most its
    clip, over all of its parameters. A network whose gradient or loss is not finite is left where it is from then
    on, and `alive` (networks,) turns False for it; the others do not notice.

    The moments of all parameters lie in one buffer (networks, numbers) each, so that a step is a handful of
    operations however many parameters there are; `first` and `second` are views of them by name. `steps` counts the
    steps taken.
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
        networks = len(learning_rates)
        numbers = sum(value[0].numel() for value in self.parameters.values())
        like = next(iter(self.parameters.values())).detach()
        self._gradient, self._update, self._first, self._second = (like.new_zeros(networks, numbers) for _ in range(4))
        self.first, self.second = self._views(self._first), self._views(self._second)
        self.alive = torch.ones(networks, dtype=torch.bool, device=learning_rates.device)

    def _views(self, buffer: Tensor) -> dict[str, Tensor]:
        sizes = [value[0].numel() for value in self.parameters.values()]
        parts = buffer.split(sizes, dim=1)
        shaped = zip(self.parameters.items(), parts, strict=True)
        return {name: part.unflatten(1, value.shape[1:]) for (name, value), part in shaped}

    @torch.no_grad()
    def step(
        self,
        losses: Tensor,
        parameters: Mapping[str, Tensor] | None = None,
        first: int = 0,
        number: int | None = None,
    ) -> None:
        """One update from the gradients of `losses`, (networks,), which `backward` has left on the parameters.

        A part of the pack may take its step alone: `parameters` are then the part's, views of all networks' from the
        network `first` on, and `number` says which step it is (the next one, unless it is said); several threads may
        do so at once, each with a part of its own. A parameter without a gradient counts as one with a gradient of
        zero.
        """
        parameters = parameters or self.parameters
        part = slice(first, first + len(losses))
        gradients = []
        for value in parameters.values():
            gradients.append((value.grad if value.grad is not None else torch.zeros_like(value)).flatten(1))
            value.grad = None
        gradient = torch.cat(gradients, dim=1, out=self._gradient[part])
        norms = torch.linalg.vector_norm(gradient, dim=1)
        alive = self.alive[part]
        alive &= norms.isfinite() & losses.isfinite()
        factors = torch.where(alive, (self.clips[part] / (norms + 1e-6)).clamp(max=1.0), 0.0).unsqueeze(1)
        self.steps = steps = self.steps + 1 if number is None else number
        beta1, beta2 = self.betas
        # Both bias corrections folded into one step size, with epsilon scaled to match.
        correction2 = (1 - beta2**steps) ** 0.5
        rates = torch.where(alive, self.learning_rates[part] * correction2 / (1 - beta1**steps), 0.0).unsqueeze(1)
        # masked, not only scaled: 0 times infinity is no number.
        clipped = torch.where(alive.unsqueeze(1), gradient.mul_(factors), 0.0)
        mean = self._first[part].lerp_(clipped, 1 - beta1)
        square = self._second[part].mul_(beta2).addcmul_(clipped, clipped, value=1 - beta2)
        update = torch.sqrt(square, out=self._update[part]).add_(self.epsilon * correction2)
        torch.div(mean, update, out=update).mul_(rates)
        torch._foreach_sub_(list(parameters.values()), list(self._views(update).values()))

    def snapshot(self, part: slice) -> list[Tensor]:
        """Return copies of all that a step of these networks changes, (networks, ...) each, for `restore`."""
        return [value.detach()[part].clone() for value in self._state()]

    @torch.no_grad()
    def restore(self, part: slice, held: Sequence[Tensor]) -> None:
        """Bring these networks back to where they were, by the tensors (networks, ...) of `snapshot`."""
        for value, kept in zip(self._state(), held, strict=True):
            value[part].copy_(kept)

    def state(self) -> dict[str, Tensor]:
        """Return all that the next step depends on, by name, for `load`: parameters and moments (networks, ...)."""
        return {
            **{f"parameters/{name}": value.detach() for name, value in self.parameters.items()},
            **{f"first/{name}": value for name, value in self.first.items()},
            **{f"second/{name}": value for name, value in self.second.items()},
            "alive": self.alive,
            "adam_steps": torch.tensor(self.steps),
        }

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` returned; other names in it are left alone. Raises KeyError where one lacks."""
        for name, value in self.state().items():
            value.copy_(state[name])
        self.steps = int(state["adam_steps"])

    def _state(self) -> list[Tensor]:
        return [*self.parameters.values(), self._first, self._second, self.alive]
