"""Dynamical systems as the engine sees them: trajectories that advance and tell their Jacobians."""

from typing import Any, NamedTuple, Protocol, TypeAlias

from torch import Tensor

from aelle_core.lyapunov.kernels.jacobians import Jacobians
from aelle_core.lyapunov.kernels.rounding import Rounding

Rows: TypeAlias = slice | list[int]


class Linearised(NamedTuple):
    """Some steps of all trajectories.

    state      the new one, at their end
    jacobians  of the steps
    finite     (trajectories,) whether weights, states and Jacobians are
    switching  (networks, rows, steps, functions) of Cell.switching_functions; None where the step has none, and where
               nobody asks for them: they are for second copies of few
    """

    state: Any
    jacobians: Jacobians
    finite: Tensor
    switching: Tensor | None = None


class System(Protocol):
    """`networks` networks of `sequences` trajectories each. With copies, the trajectories of a network are all its
    sequences and then all of them again."""

    networks: int
    sequences: int
    size: int  # of the tangent space
    exact_zeros: bool  # whether a zero in the Jacobian is the truth, not an underflow
    knows_kinks: bool  # whether its step has no kinks, or switching functions say where they are
    like: Tensor  # has the dtype and device of the states

    @property
    def unchecked(self) -> tuple[str, ...]:
        """What the check for rounding has not seen into, so far: then nothing is resolved."""
        ...

    def start(self, copies: int) -> Any:
        """Return the initial state of all trajectories."""
        ...

    def linearise(self, first: int, steps: int, state: Any, k: int, rounding: Rounding | None) -> Linearised:
        """Return steps `first` to `first + steps`, for k tangents. With `rounding`, second copies are disturbed, and
        switching functions are told."""
        ...

    def pushes(self, k: int) -> bool:
        """Return whether k tangents are cheaper to push one by one than to multiply with a Jacobian of all columns:
        the Jacobians of `linearise` are then never made."""
        ...

    def in_double(self, networks: list[int]) -> "System | None":
        """Return the same in float64, of those networks only; None where that cannot be."""
        ...

    def of_sequences(self, rows: Rows) -> "System | None":
        """Return the same along those sequences only, one of them twice where it is named twice; None where they may
        have little in common."""
        ...

    def in_factors(self) -> "System":
        """Return the same, with Jacobians as products where these keep digits that sums lose."""
        ...

    def bytes_per_step(self, copies: int) -> int:
        """About how much memory one step of all trajectories takes in `linearise`."""
        ...
