"""The Elman network, with tanh or relu units."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.cells.activated import ActivatedCell
from aelle_core.cells.base import State, cells
from aelle_core.cells.blocks import Block, Blocks
from aelle_core.cells.derivatives import relu_derivative, tanh_derivative
from aelle_core.foundation.ranges import Range


class _Elman(ActivatedCell):
    input_weights: ClassVar[str | None] = "weight_ih"

    @abstractmethod
    def phi(self, a: Tensor) -> Tensor:
        """Return the new state from the pre-activation, of any shape."""

    @abstractmethod
    def slope(self, a: Tensor) -> Tensor:
        """Return phi's derivative at the pre-activation, of any shape."""

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        n, f = self.units, self.input_size
        return {"weight_ih": (n, f), "weight_hh": (n, n), "bias_ih": (n,), "bias_hh": (n,)}

    def author_parameters(self, generator: torch.Generator) -> dict[str, Tensor]:
        """torch.nn's own U(-1/sqrt(units), 1/sqrt(units))."""
        return self.uniform_parameters(self.units**-0.5, generator)

    def prepare(self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {
            "W": parameters["weight_ih"],
            "U": parameters["weight_hh"],
            "b": (parameters["bias_ih"] + parameters["bias_hh"]).unsqueeze(1),
        }

    def drive(self, weights: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        return torch.baddbmm(weights["b"], inputs, weights["W"].mT)

    def step(self, weights: Mapping[str, Tensor], drive: Tensor, state: State, noise: Tensor | None = None) -> State:
        return {"h": self.phi(self._pre_activation(weights, drive, state))}

    def activations(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> dict[str, Tensor]:
        """Return the pre-activation."""
        return {"a": self._pre_activation(weights, drive, state)}

    def step_activated(self, weights: Mapping[str, Tensor], activations: Mapping[str, Tensor], state: State) -> State:
        return {"h": self.phi(activations["a"])}

    def linearise_driven(
        self, weights: Mapping[str, Tensor], activations: Mapping[str, Tensor], state: State
    ) -> tuple[Blocks, dict[str, Tensor]]:
        slopes = self.slope(activations["a"]).unsqueeze(2)
        return {("h", "h"): Block(slopes, weights["U"].unsqueeze(1))}, {"h": slopes}

    def _pre_activation(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> Tensor:
        return torch.baddbmm(drive, state["h"], weights["U"].mT)


@cells.register("rnn")
class TanhRNN(_Elman):
    """h' = tanh(W x + U h + b): torch.nn.RNN's conventions and parameter layout, b = bias_ih + bias_hh.

    State: h (networks, batch, units). Elman, Finding structure in time, 1990.
    """

    search: ClassVar[Mapping[str, Range]] = {"scale": Range(0.06, 1.0)}

    def phi(self, a: Tensor) -> Tensor:
        return torch.tanh(a)

    def slope(self, a: Tensor) -> Tensor:
        return tanh_derivative(a)


@cells.register("rnn_relu")
class ReluRNN(_Elman):
    """h' = max(0, W x + U h + b): torch.nn.RNN's conventions and parameter layout, b = bias_ih + bias_hh.

    State: h (networks, batch, units). A unit at rest has a zero row in the Jacobian: a dead direction, whose
    exponent is -inf. Le, Jaitly, Hinton, A simple way to initialize recurrent networks of rectified linear
    units, 2015.
    """

    search: ClassVar[Mapping[str, Range]] = {"scale": Range(0.15, 0.9)}
    exact_zeros: ClassVar[bool] = True
    kinked: ClassVar[bool] = True

    def phi(self, a: Tensor) -> Tensor:
        return torch.relu(a)

    def slope(self, a: Tensor) -> Tensor:
        return relu_derivative(a)

    def switching_functions(
        self, weights: Mapping[str, Tensor], activations: Mapping[str, Tensor], state: State
    ) -> Tensor:
        """Return the pre-activations, (networks, batch, units)."""
        return activations["a"]
