"""Dynamical systems as the engine sees them: a state that advances and carries tangent vectors along."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from aelle_core.cells import Network, dense_jacobian
from aelle_core.cells.base import gates_scaled
from aelle_core.errors import UserError

Step = Callable[[Tensor | None, Tensor], Tensor]
"""step(x, state) -> state: x (batch, features), or None for an autonomous map; states (batch, state_size)."""


class TangentSystem(Protocol):
    """`matrices` trajectories side by side, each with a tangent space of `size` dimensions."""

    matrices: int
    size: int
    exact_zeros: bool  # whether a zero in the Jacobian is the truth, not an underflow

    def start(self) -> Tensor:
        """The initial state."""
        ...

    def advance(self, time: int, state: Any, tangents: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """One step: the new state, J Q for tangents Q (matrices, size, k), and log |det J| (matrices,), or None
        where only a part of the tangent space is followed."""
        ...


def _push(jacobian: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor | None]:
    """J Q, and log |det J| when Q spans the whole space."""
    whole = tangents.shape[-1] == jacobian.shape[-1]
    return jacobian @ tangents, torch.linalg.slogdet(jacobian).logabsdet if whole else None


class StackSystem:
    """Layers of cells, each driven by the hidden state of the one below; mostly a single layer.

    `networks` are packs of the same number P of networks; inputs are (batch, time, features), shared by the pack,
    and decide dtype and device. There are P * batch trajectories, networks first. With `hidden` the tangent space
    is that of the read-out parts alone, d h_t / d h_{t-1}.
    """

    def __init__(
        self,
        networks: Sequence[Network],
        inputs: Tensor,
        *,
        hidden: bool,
        initial_state: Tensor | None = None,
    ) -> None:
        self.cells = [network.cell for network in networks]
        self.weights = [network.prepare(inputs.dtype, inputs.device) for network in networks]
        self.inputs = inputs
        self.hidden = hidden
        self.initial_state = initial_state
        self.networks = next(iter(self.weights[0].values())).shape[0]
        self.matrices = self.networks * inputs.shape[0]
        self.exact_zeros = all(cell.exact_zeros for cell in self.cells)
        self.state_size = sum(cell.state_size for cell in self.cells)
        self.size = sum(cell.units for cell in self.cells) if hidden else self.state_size

    def start(self) -> Tensor:
        shape = (self.networks, self.inputs.shape[0], self.state_size)
        if self.initial_state is None:
            return self.inputs.new_zeros(shape)
        return self.initial_state.to(self.inputs).expand(shape)

    def advance(self, time: int, state: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        state, jacobian = self.linearise(self.inputs[:, time], state)
        return state, *_push(jacobian.flatten(0, 1), tangents)

    def linearise(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One step on inputs (batch, features): the new state and its Jacobian (networks, batch, size, size)."""
        below = inputs.expand(self.networks, *inputs.shape)
        states: list[Tensor] = []
        rows: list[Tensor] = []
        old = state.split([cell.state_size for cell in self.cells], dim=-1)
        for cell, weights, joined in zip(self.cells, self.weights, old, strict=True):
            drive = cell.drive(weights, below)
            parts = cell.split(joined)
            new, blocks = cell.linearise(weights, drive, parts)
            kept = cell.parts[:1] if self.hidden else cell.parts
            row = dense_jacobian(blocks, kept)
            if rows:  # through the layer below's new hidden state, the first of its parts
                slopes = cell.drive_slopes(weights, drive, parts)
                by_input = torch.cat([gates_scaled(slopes[part], weights["W"]) for part in kept], dim=-2)
                row = torch.cat([by_input @ rows[-1][..., : cell.units, :], row], dim=-1)
            states.append(cell.join(new))
            rows.append(row)
            below = new[cell.parts[0]]
        if len(rows) == 1:
            return states[0], rows[0]
        padded = [torch.nn.functional.pad(row, (0, self.size - row.shape[-1])) for row in rows]
        return torch.cat(states, dim=-1), torch.cat(padded, dim=-2)


class StepSystem:
    """Any step function, linearised by forward-mode automatic differentiation.

    Its derivatives are as good as the function's own: torch's tanh and sigmoid lose theirs in deep saturation.
    """

    def __init__(self, step: Step, inputs: Tensor | None, initial_state: Tensor) -> None:
        self.step = step
        self.inputs = inputs
        self.initial_state = initial_state
        self.matrices, self.size = initial_state.shape
        self.exact_zeros = False

    def start(self) -> Tensor:
        return self.initial_state

    def advance(self, time: int, state: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        x = None if self.inputs is None else self.inputs[:, time]

        def push(direction: Tensor) -> tuple[Tensor, Tensor]:
            new, pushed = torch.func.jvp(lambda old: self.step(x, old), (state,), (direction,))  # type: ignore[misc]
            return new, pushed

        along: Callable[[Tensor], tuple[Tensor, Tensor]] = torch.vmap(push, in_dims=2, out_dims=(None, 2))  # type: ignore[arg-type]
        if tangents.shape[-1] < self.size:
            new, pushed = along(tangents)
            return new, pushed, None
        identity = torch.eye(self.size, dtype=state.dtype, device=state.device)
        new, jacobian = along(identity.expand(self.matrices, -1, -1))
        pushed, volume = _push(jacobian, tangents)
        return new, pushed, volume


def checked_step(step: Step, inputs: Tensor | None, state: Tensor) -> None:
    """Call `step` once. Raises UserError when it fails on these dtypes or returns another shape."""
    try:
        with torch.no_grad():
            new = step(None if inputs is None else inputs[:, 0], state)
    except RuntimeError as error:
        raise UserError(
            f"step(x, state) failed on {state.dtype} tensors of shape {tuple(state.shape)}: {error}; convert its "
            "weights to that dtype, or ask for precision='fast' (float32)"
        ) from error
    if not isinstance(new, Tensor) or new.shape != state.shape or new.dtype != state.dtype:
        given = f"{new.dtype} {tuple(new.shape)}" if isinstance(new, Tensor) else type(new).__name__
        raise UserError(
            f"step(x, state) returned {given}: expected a new state, {state.dtype} {tuple(state.shape)} (batch, size)"
        )
