"""Any step function, linearised by forward-mode automatic differentiation."""

import copy
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from aelle_core.errors import UserError
from aelle_core.lyapunov.jacobians import BlockJacobians, Jacobians, PushedJacobians
from aelle_core.lyapunov.systems.base import Rounding

Step = Callable[[Tensor | None, Tensor], Tensor]
"""step(x, state) -> state: x (batch, features), or None for an autonomous map; states (batch, state_size)."""


class StepSystem:
    """step(x, state) along inputs (sequences, time, features), or an autonomous map.

    Its derivatives are as good as the function's own: torch's tanh and sigmoid lose theirs in deep saturation. All
    steps of a stretch are linearised at once, as one large batch; a function that works with its own batch size only
    is taken one step at a time. Where few tangents are followed, the Jacobian is not made at all.

    Raises UserError when the function fails on a batch of states, returns another shape, or cannot be differentiated;
    warns when its derivative is not that of finite differences, as where a part of it is detached.
    """

    def __init__(self, step: Step, inputs: Tensor | None, initial_state: Tensor) -> None:
        self.step = step
        self.inputs = inputs
        self.like = self.initial_state = initial_state
        self.networks = 1
        self.sequences, self.size = initial_state.shape
        self.exact_zeros = False
        self._check()
        self.any_batch = self._takes_any_batch()

    def start(self, copies: int) -> Tensor:
        return self.initial_state.repeat(copies, 1)

    def in_double(self, networks: list[int]) -> "StepSystem | None":
        step = copy.deepcopy(self.step).double() if isinstance(self.step, nn.Module) else self.step
        try:
            return StepSystem(step, None if self.inputs is None else self.inputs.double(), self.initial_state.double())
        except UserError:  # its own numbers are float32
            return None

    def bytes_per_step(self, copies: int) -> int:
        return 6 * copies * self.sequences * self.size**2 * self.like.itemsize

    def linearise(
        self, first: int, steps: int, state: Tensor, k: int, rounding: Rounding | None
    ) -> tuple[Tensor, Jacobians, Tensor]:
        copies = len(state) // self.sequences
        states, inputs = [state], []
        for time in range(first, first + steps):
            x = None if self.inputs is None else self.inputs[:, time].repeat(copies, 1)
            new = self._apply(self.step, x, states[-1])
            if rounding is not None:
                new = new * rounding.factors(*new.shape, copies_at=0)
            states.append(new)
            inputs.append(x)
        finite = states[-1].isfinite().all(dim=-1)
        if self.pushes(k):

            def along(step: int, tangents: Tensor) -> Tensor:
                return self._apply(self._push, inputs[step], states[step], tangents)

            return states[-1], PushedJacobians(len(state), steps, along, finite), finite
        if self.any_batch:
            joined = None if self.inputs is None else torch.stack(inputs).flatten(0, 1)  # type: ignore[arg-type]
            transposed = self._transposed_jacobian(joined, torch.stack(states[:-1]).flatten(0, 1))
        else:
            each = zip(inputs, states[:-1], strict=True)
            transposed = torch.cat([self._apply(self._transposed_jacobian, x, old) for x, old in each])
        transposed = transposed.unflatten(0, (steps, -1)).transpose(0, 1)
        return states[-1], BlockJacobians.of_dense(transposed), finite

    def pushes(self, k: int) -> bool:
        """Whether k tangents are cheaper to push one by one than to multiply with a Jacobian of all columns."""
        return 4 * k <= self.size

    def _apply(self, function: Callable[..., Tensor], x: Tensor | None, *by_row: Tensor) -> Tensor:
        """The function on all rows at once, or copy by copy where it takes its own batch size only."""
        if self.any_batch or len(by_row[0]) == self.sequences:
            return function(x, *by_row)
        pieces = zip(*(each.split(self.sequences) for each in by_row), strict=True)
        return torch.cat([function(None if x is None else x[: self.sequences], *piece) for piece in pieces])

    def _push(self, x: Tensor | None, state: Tensor, tangents: Tensor) -> Tensor:
        """J Q for tangents (batch, size, k)."""

        def along(direction: Tensor) -> Tensor:
            return torch.func.jvp(lambda old: self.step(x, old), (state,), (direction,))[1]

        return torch.vmap(along, in_dims=2, out_dims=2)(tangents)

    def _transposed_jacobian(self, x: Tensor | None, state: Tensor) -> Tensor:
        identity = torch.eye(self.size, dtype=state.dtype, device=state.device).expand(len(state), -1, -1)
        return self._push(x, state, identity).mT

    def _first(self) -> Tensor | None:
        return None if self.inputs is None else self.inputs[:, 0]

    def _check(self) -> None:
        state = self.initial_state
        try:
            new = self.step(self._first(), state)
        except RuntimeError as error:
            raise UserError(
                f"step(x, state) failed on {state.dtype} tensors of shape {tuple(state.shape)}: {error}; convert its "
                "weights to that dtype, or ask for precision='fast' (float32)"
            ) from error
        if not isinstance(new, Tensor) or new.shape != state.shape or new.dtype != state.dtype:
            given = f"{new.dtype} {tuple(new.shape)}" if isinstance(new, Tensor) else type(new).__name__
            raise UserError(
                f"step(x, state) returned {given}: expected a new state, {state.dtype} {tuple(state.shape)} "
                "(batch, size)"
            )
        try:
            self._push(self._first(), state, torch.zeros_like(state).unsqueeze(-1))
        except (RuntimeError, NotImplementedError) as error:
            raise UserError(
                f"step(x, state) cannot be differentiated in forward mode: {str(error).splitlines()[0]}; expected "
                "torch operations on whole tensors, without in-place changes of its arguments"
            ) from error
        self._compare_with_finite_differences()

    def _compare_with_finite_differences(self) -> None:
        """Beside the initial state, where a kink (relu at zero) is unlikely to lie."""
        source = torch.Generator(self.like.device).manual_seed(0)
        x, state = self._first(), self.initial_state
        beside = state + 1e-3 * (1 + state.abs()) * torch.empty_like(state).normal_(generator=source)
        direction = torch.empty_like(state).normal_(generator=source)
        distance = torch.finfo(state.dtype).eps ** (1 / 3)
        ahead, behind = self.step(x, beside + distance * direction), self.step(x, beside - distance * direction)
        expected = (ahead - behind) / (2 * distance)
        found = self._push(x, beside, direction.unsqueeze(-1)).squeeze(-1)
        apart = float((found - expected).norm() / expected.norm().clamp(min=distance))
        if apart > 0.05:
            warnings.warn(
                f"the derivative of step(x, state) is {apart:.0%} off from finite differences: a part of it is "
                "detached or computed outside of torch, or it is not smooth; the spectrum is of what is differentiated",
                stacklevel=2,
            )

    def _takes_any_batch(self) -> bool:
        """Whether two copies of the batch side by side give the same states twice."""
        state, x = self.initial_state, self._first()
        try:
            double = self.step(None if x is None else x.repeat(2, 1), state.repeat(2, 1))
        except RuntimeError:
            return False
        alone = self.step(x, state)
        return double.shape == (2 * len(state), self.size) and torch.allclose(
            double, alone.repeat(2, 1), rtol=1e-3, atol=1e-5, equal_nan=True
        )
