"""The echo-state network: a reservoir with fixed random weights."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.cells.activated import ActivatedCell
from aelle_core.cells.base import State, cells
from aelle_core.cells.blocks import Block, Blocks
from aelle_core.cells.derivatives import tanh_derivative
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.ranges import Range

DENSITY = 0.2


@cells.register("esn")
class EchoStateNetwork(ActivatedCell):
    """h' = (1 - leak) h + leak tanh(input_scale W x + U h + b): only what reads h is trained.

    State: h (networks, batch, units). U is sparse: each entry is there with probability 0.2 (of fewer than 20 units:
    4 / units) and normal; then U is scaled to the spectral radius `scale`. W is uniform in (-1, 1), b in (-0.1, 0.1).
    Trainers do not change them: forecasts have their readout from one ridge regression, all else from gradients.

    Jaeger, The "echo state" approach to analysing and training recurrent neural networks, GMD Report 148 (2001); Jaeger
    & Haas, Science 304 (2004); Lukosevicius & Jaeger, Comput. Sci. Rev. 3 (2009), equation 3.
    """

    fixed: ClassVar[bool] = True
    defaults: ClassVar[Mapping[str, float]] = {"leak": 0.5, "input_scale": 0.5}
    search: ClassVar[Mapping[str, Range]] = {
        "scale": Range(0.1, 1.5),
        "leak": Range(0.2, 1.0),
        "input_scale": Range(0.05, 1.0),
    }

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        n, f = self.units, self.input_size
        return {"W": (n, f), "U": (n, n), "b": (n,)}

    def initialise(self, generator: torch.Generator, scale: float, initialiser: str = "uniform") -> dict[str, Tensor]:
        """W, U and b of one network as the class says, float32; `scale` is U's spectral radius. Raises UserError for
        another `initialiser`: the cell has a distribution of its own."""
        if initialiser != "uniform":
            raise UserError(f"initialiser={initialiser!r}: cell 'esn' has a distribution of its own; expected none")
        n, f = self.units, self.input_size
        present = torch.rand(n, n, generator=generator) < max(DENSITY, 4 / n)
        drawn = present * torch.randn(n, n, generator=generator)
        radius = float(torch.linalg.eigvals(drawn.double()).abs().max())
        return {
            "W": torch.empty(n, f).uniform_(-1, 1, generator=generator),
            "U": drawn * (scale / radius if radius > 0 else 0.0),
            "b": torch.empty(n).uniform_(-0.1, 0.1, generator=generator),
        }

    def prepare(self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {
            "W": constants["input_scale"] * parameters["W"],
            "U": parameters["U"],
            "b": parameters["b"].unsqueeze(1),
            "leak": constants["leak"],
        }

    def drive(self, weights: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        return torch.baddbmm(weights["b"], inputs, weights["W"].mT)

    def step(self, weights: Mapping[str, Tensor], drive: Tensor, state: State, noise: Tensor | None = None) -> State:
        return self.step_activated(weights, self.activations(weights, drive, state), state)

    def activations(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> dict[str, Tensor]:
        """Return the pre-activation, (networks, batch, units)."""
        return {"a": torch.baddbmm(drive, state["h"], weights["U"].mT)}

    def step_activated(self, weights: Mapping[str, Tensor], activations: Mapping[str, Tensor], state: State) -> State:
        leak = weights["leak"]
        return {"h": (1 - leak) * state["h"] + leak * torch.tanh(activations["a"])}

    def linearise_driven(
        self, weights: Mapping[str, Tensor], activations: Mapping[str, Tensor], state: State
    ) -> tuple[Blocks, dict[str, Tensor]]:
        h, leak = state["h"], weights["leak"]
        slopes = (leak * tanh_derivative(activations["a"])).unsqueeze(2)
        block = Block(slopes, weights["U"].unsqueeze(1), diagonal=(1 - leak).expand_as(h))
        return {("h", "h"): block}, {"h": slopes}
