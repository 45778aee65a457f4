"""Any step function, linearised by forward-mode automatic differentiation."""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from aelle_core.foundation.errors import UserError, first_line
from aelle_core.lyapunov.compiled.attempt import compiled_step, same_numbers, worth_compiling
from aelle_core.lyapunov.compiled.graph import NotCompilableError
from aelle_core.lyapunov.kernels.jacobians import BlockJacobians, PushedJacobians
from aelle_core.lyapunov.kernels.rounding import Rounding
from aelle_core.lyapunov.systems.arithmetic import WatchedArithmetic
from aelle_core.lyapunov.systems.base import Linearised, Rows

if TYPE_CHECKING:
    from aelle_core.lyapunov.compiled.machine_step import MachineStep

Step = Callable[[Tensor | None, Tensor], Tensor]
"""step(x, state) -> state: x (batch, features), or None for an autonomous map; states (batch, state_size)."""


class StepSystem:
    """step(x, state) along inputs (sequences, time, features), or an autonomous map.

    Its derivatives are as good as the function's own, with tanh and sigmoid put right in saturation. All steps of a
    stretch are linearised at once, as one large batch; a function that works with its own batch size only is taken
    one step at a time. Where few tangents are followed, the Jacobian is not made at all. Second copies run through
    the function apart from the first, with every rounded result in it disturbed. Where the function can be traced and
    the run is long enough, `compile` turns it into machine code, which does the same.

    Functions that the check for rounding does not see into are `unchecked`, and so are states that the function takes
    in float32 alone.

    Raises UserError when the function fails on a batch of states, returns another shape, cannot be differentiated, or
    lets one sequence change another; warns when its derivative is not that of finite differences, as where a part of it
    is detached, and names what is unchecked.
    """

    def __init__(
        self,
        step: Step,
        inputs: Tensor | None,
        initial_state: Tensor,
    ) -> None:
        self.step = step
        self.inputs = inputs
        self.like = self.initial_state = initial_state
        self.networks = 1
        self.sequences, self.size = initial_state.shape
        self.exact_zeros, self.knows_kinks = False, False
        self.program: MachineStep | None = None
        self.disturbance = Rounding.size_for(initial_state)
        self._arithmetic = [WatchedArithmetic(initial_state), WatchedArithmetic(initial_state, self.disturbance)]
        self._check()
        self._refuse_influence()
        self.any_batch = self._takes_any_batch()
        if self.unchecked and self.like.dtype == torch.float64:
            warnings.warn(
                f"step(x, state) calls {', '.join(self.unchecked)}, into which the check for rounding does not see: "
                "no exponent is marked resolved",
                stacklevel=2,
            )

    def compile(self, steps: int) -> None:
        """Have so many steps run as machine code, where that is worth its compilation. Warns where the function cannot
        be compiled, or what was compiled does not do the same: it then runs in Python."""
        if self.program is not None or not worth_compiling(self, steps):
            return
        try:
            self.program = compiled_step(self)
        except NotCompilableError as error:
            warnings.warn(f"step(x, state) runs in Python, which is slow, as it is not compiled: {error}", stacklevel=4)

    def start(self, copies: int) -> Tensor:
        return self.initial_state.repeat(copies, 1)

    @property
    def unchecked(self) -> tuple[str, ...]:
        rough = () if self.like.dtype == torch.float64 else ("float32 states",)
        return (*rough, *sorted(self._arithmetic[0].unchecked))

    def in_double(self, networks: list[int]) -> "StepSystem | None":
        return self if self.like.dtype == torch.float64 else None

    def of_sequences(self, rows: Rows) -> None:
        """None: what a function does along one sequence, a kink for one, says nothing of another."""

    def in_factors(self) -> "StepSystem":
        return self

    def bytes_per_step(self, copies: int) -> int:
        return (2 if self.program is not None else 6) * copies * self.sequences * self.size**2 * self.like.itemsize

    def linearise(self, first: int, steps: int, state: Tensor, k: int, rounding: Rounding | None) -> Linearised:
        if self.program is not None and self._still_the_same(first, state):
            return self._compiled(self.program, first, steps, state)
        pieces = state.split(self.sequences)
        plain, disturbed = self._arithmetic
        watched = [plain, *[disturbed] * (len(pieces) - 1)]
        runs = [self._forward(first, steps, *run) for run in zip(pieces, watched, strict=True)]
        last = torch.cat([run[-1] for run in runs])
        finite = last.isfinite().all(dim=-1)
        if self.pushes(k):

            def along(step: int, tangents: Tensor) -> Tensor:
                parts = zip(runs, tangents.split(self.sequences), watched, strict=True)
                x = self.input_at(first + step)
                pushed = [self._push(x, run[step], part.to(last), arithmetic) for run, part, arithmetic in parts]
                return torch.cat(pushed).to(tangents)

            return Linearised(last, PushedJacobians(steps, along), finite)
        several = zip(runs, watched, strict=True)
        jacobians = BlockJacobians.of_dense(torch.cat([self._transposed(first, *run) for run in several]))
        return Linearised(last, jacobians, finite & jacobians.finite())

    def _compiled(self, program: "MachineStep", first: int, steps: int, state: Tensor) -> Linearised:
        copies = len(state) // self.sequences
        inputs = None if self.inputs is None else self.inputs[:, first : first + steps].repeat(copies, 1, 1)
        disturbed = [row >= self.sequences for row in range(len(state))]
        last, transposed = program.run(state, inputs, steps, disturbed, first)
        jacobians = BlockJacobians.of_dense(transposed)
        return Linearised(last, jacobians, last.isfinite().all(dim=-1) & jacobians.finite())

    def _still_the_same(self, first: int, state: Tensor) -> bool:
        """Whether the function still does what was compiled, as one that changes from call to call does not."""
        assert self.program is not None
        state = state[: self.sequences]
        x = self.input_at(first)
        computed, _ = self.program.run(state, None if x is None else x.unsqueeze(1), 1, [False] * self.sequences, first)
        with self._arithmetic[0]:
            expected = self._new(x, state)
        if same_numbers(computed, expected):
            return True
        self.program = None
        warnings.warn(
            f"step(x, state) does not do at step {first} what it did when it was compiled: it runs in Python from here "
            "on, and its spectrum is of a map that changes from call to call",
            stacklevel=6,
        )
        return False

    def input_at(self, time: int, rows: slice = slice(None)) -> Tensor | None:
        """Return the inputs of a step, (sequences, features), of all sequences or of some."""
        return None if self.inputs is None else self.inputs[rows, time]

    def in_python(self, steps: int, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states after the first `steps` steps and the transposed Jacobians (sequences, steps, size, size)
        as the function itself gives them."""
        states = self._forward(0, steps, state, self._arithmetic[0])
        return states[-1], self._transposed(0, states, self._arithmetic[0])

    def _new(self, x: Tensor | None, state: Tensor) -> Tensor:
        """One step. The function gets copies of its own: one that works in place may write into them."""
        return self.step(None if x is None else x.clone(), state.clone())

    def _forward(self, first: int, steps: int, state: Tensor, arithmetic: WatchedArithmetic) -> list[Tensor]:
        """Return the states before each step, and after the last."""
        states = [state]
        with arithmetic:
            for time in range(first, first + steps):
                states.append(self._new(self.input_at(time), states[-1]))
        return states

    def _transposed(self, first: int, states: list[Tensor], arithmetic: WatchedArithmetic) -> Tensor:
        """Transposed Jacobians (sequences, steps, size, size) along the states."""
        steps = len(states) - 1
        identity = torch.eye(self.size, dtype=self.like.dtype, device=self.like.device)

        def of(x: Tensor | None, state: Tensor) -> Tensor:
            return self._push(x, state, identity.expand(len(state), -1, -1), arithmetic).mT

        if not self.any_batch:
            return torch.stack([of(self.input_at(first + step), states[step]) for step in range(steps)], dim=1)
        x = None if self.inputs is None else self.inputs[:, first : first + steps].flatten(0, 1)
        return of(x, torch.stack(states[:-1], dim=1).flatten(0, 1)).unflatten(0, (-1, steps))

    def pushes(self, k: int) -> bool:
        return 4 * k <= self.size and self.program is None

    def _push(self, x: Tensor | None, state: Tensor, tangents: Tensor, arithmetic: WatchedArithmetic) -> Tensor:
        """J Q for tangents (batch, size, k)."""

        def step(old: Tensor) -> Tensor:
            with arithmetic:
                return self._new(x, old)

        def along(direction: Tensor) -> Tensor:
            return torch.func.jvp(step, (state,), (direction,))[1]

        return torch.vmap(along, in_dims=2, out_dims=2)(tangents)

    def _check(self) -> None:
        state = self.initial_state
        try:
            new = self._new(self.input_at(0), state)
        except UserError:
            raise
        except Exception as error:  # whatever a person's function raises
            x = "None" if self.inputs is None else f"of shape {tuple(self.inputs[:, 0].shape)}"
            raise UserError(
                f"step(x, state) failed on {state.dtype} tensors, x {x} and state of shape "
                f"{tuple(state.shape)}: {_first_line_of(error)}; {_advice(error, state.dtype)}"
            ) from error
        if not isinstance(new, Tensor) or new.shape != state.shape or new.dtype != state.dtype:
            given = f"{new.dtype} {tuple(new.shape)}" if isinstance(new, Tensor) else type(new).__name__
            raise UserError(
                f"step(x, state) returned {given}: expected a new state, {state.dtype} {tuple(state.shape)} "
                "(batch, size)"
            )
        try:
            self._push(self.input_at(0), state, torch.zeros_like(state).unsqueeze(-1), self._arithmetic[0])
        except Exception as error:
            raise UserError(
                f"step(x, state) cannot be differentiated in forward mode: {_first_line_of(error)}; expected torch "
                "operations on whole dense tensors (no numpy, no sparse weights), without in-place changes of tensors "
                "that outlive the step"
            ) from error
        self._compare_with_finite_differences()

    def _compare_with_finite_differences(self) -> None:
        """Beside the initial state, where a kink (relu at zero) is unlikely to lie."""
        source = torch.Generator(self.like.device).manual_seed(0)
        x, state = self.input_at(0), self.initial_state
        beside = state + 1e-3 * (1 + state.abs()) * torch.empty_like(state).normal_(generator=source)
        direction = torch.empty_like(state).normal_(generator=source)
        distance = torch.finfo(state.dtype).eps ** (1 / 3)
        try:
            ahead, behind = self._new(x, beside + distance * direction), self._new(x, beside - distance * direction)
            expected = (ahead - behind) / (2 * distance)
            pushed = self._push(x, beside, direction.unsqueeze(-1), self._arithmetic[0]).squeeze(-1)
        except Exception:  # the function takes no states there: it may still take its own trajectory's
            return
        apart = float((pushed - expected).norm() / expected.norm().clamp(min=distance))
        if apart > 0.05:
            warnings.warn(
                f"the derivative of step(x, state) is {apart:.0%} off from finite differences: a part of it is "
                "detached or computed outside of torch, or it is not smooth; the spectrum is of what is differentiated",
                stacklevel=2,
            )

    def _refuse_influence(self) -> None:
        """Raise UserError where the state of one sequence changes the next state of another, as statistics over the
        batch do: what is computed then is no spectrum of any one sequence."""
        if self.sequences == 1:
            return
        x, state = self.input_at(0), self.initial_state
        other = state.clone()
        other[0] += 0.1 * (1 + state[0].abs())
        try:
            before, after = self._new(x, state)[1:], self._new(x, other)[1:]
        except Exception:  # the function takes no such states
            return
        if not torch.allclose(before, after, rtol=1e-6, atol=1e-9, equal_nan=True):
            raise UserError(
                "step(x, state) lets one sequence change another (a statistic over the batch, as in the training of "
                "batch normalisation?): expected every row of the new state to come from its own row"
            )

    def _takes_any_batch(self) -> bool:
        """Whether two different batches side by side give what each gives alone."""
        x, state = self.input_at(0), self.initial_state
        other = state.flip(0) + 0.1 * (1 + state.abs())
        try:
            alone = torch.cat([self._new(x, state), self._new(x, other)])
            together = self._new(None if x is None else x.repeat(2, 1), torch.cat([state, other]))
        except Exception:  # an assertion about the batch, for one
            return False
        if not isinstance(together, Tensor):
            return False
        return together.shape == alone.shape and torch.allclose(together, alone, rtol=1e-3, atol=1e-5, equal_nan=True)


def _first_line_of(error: Exception) -> str:
    """Return the first line of what an error says, with its kind where torch has not raised it."""
    bare = isinstance(error, RuntimeError) or not str(error)
    return first_line(error) if bare else f"{type(error).__name__}: {first_line(error)}"


def _advice(error: Exception, dtype: torch.dtype) -> str:
    if not isinstance(error, RuntimeError) or not any(word in str(error) for word in ("dtype", "scalar type")):
        return "expected a function of (x, state) that returns the new state"
    other = "'fast' (float32)" if dtype == torch.float64 else "'exact' (float64)"
    return f"convert its weights to that dtype, or ask for precision={other}"
