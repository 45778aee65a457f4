"""Cells whose step and Jacobian have activations in common."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from aelle_core.cells.base import Cell, State
from aelle_core.cells.blocks import Blocks


class ActivatedCell(Cell):
    """A cell that computes `activations` once, and from them both its new state and its Jacobian.

    A subclass defines `activations`, `step_activated` and `linearise_driven`, and what every cell defines but
    `linearise`. Raises TypeError where one defines `linearise`, which spectra would pass by.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "linearise" in vars(cls):
            raise TypeError(f"{cls.__name__} defines linearise: expected activations and linearise_driven")

    @abstractmethod
    def activations(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> dict[str, Tensor]: ...

    @abstractmethod
    def step_activated(self, weights: Mapping[str, Tensor], activations: Mapping[str, Tensor], state: State) -> State:
        """Return the new parts and companions of those that `state` has."""

    @abstractmethod
    def linearise_driven(
        self, weights: Mapping[str, Tensor], activations: Mapping[str, Tensor], state: State
    ) -> tuple[Blocks, dict[str, Tensor]]: ...

    def step_accompanied(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> State:
        return self.step_activated(weights, self.activations(weights, drive, state), state)

    def drive_slopes(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> dict[str, Tensor]:
        return self.linearise_driven(weights, self.activations(weights, drive, state), state)[1]

    def linearise_activated(
        self, weights: Mapping[str, Tensor], activations: Mapping[str, Tensor], state: State
    ) -> Blocks:
        return self.linearise_driven(weights, activations, state)[0]

    def linearise(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> tuple[State, Blocks]:
        activations = self.activations(weights, drive, state)
        new = self.step_activated(weights, activations, {part: state[part] for part in self.parts})
        return new, self.linearise_activated(weights, activations, state)
