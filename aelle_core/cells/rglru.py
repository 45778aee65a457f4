"""The real-gated linear recurrent unit."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.cells.base import Cell, State, cells
from aelle_core.cells.blocks import Block, Blocks
from aelle_core.foundation.ranges import Range

_C = 8.0


@cells.register("rglru")
class RealGatedLRU(Cell):
    """h' = a h + sqrt(1 - a^2) i u with a = sigma(Lambda)^(8 r), r = sigma(V_r x + b_r), i = sigma(V_i x + b_i) and
    u = V_u x + b_u.

    State: h (networks, batch, units). V and b are stacked in the order r, i, u. The gates see the input alone, so that
    the Jacobian is diagonal: diag(a). Lambda is always drawn as the authors do: sigma(Lambda)^8 is U(0.9, 0.999).
    De et al., Griffin: mixing gated linear recurrences with local attention, 2024, section 2.4; u, the input itself
    there, is a projection of it here.
    """

    search: ClassVar[Mapping[str, Range]] = {"scale": Range(0.02, 2.0)}
    input_weights: ClassVar[str | None] = "V"

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        n, f = self.units, self.input_size
        return {"V": (3 * n, f), "b": (3 * n,), "Lambda": (n,)}

    def initialise(self, generator: torch.Generator, scale: float, initialiser: str = "uniform") -> dict[str, Tensor]:
        drawn = super().initialise(generator, scale, initialiser)
        return drawn if initialiser == "author" else {**drawn, "Lambda": self._decay(generator)}

    def author_parameters(self, generator: torch.Generator) -> dict[str, Tensor]:
        """LeCun's N(0, 1 / features), and biases of zero, as in the authors' program,
        github.com/google-deepmind/recurrentgemma. Lambda follows the paper's section 2.4; the program draws the square
        of sigma(Lambda) itself, without the power 8, from U(0.9^2, 0.999^2)."""
        V = torch.empty(3 * self.units, self.input_size).normal_(0, self.input_size**-0.5, generator=generator)
        return {"V": V, "b": torch.zeros(3 * self.units), "Lambda": self._decay(generator)}

    def _decay(self, generator: torch.Generator) -> Tensor:
        kept = torch.empty(self.units).uniform_(0.9, 0.999, generator=generator)
        return torch.logit(kept ** (1 / _C))

    def prepare(self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor]) -> dict[str, Tensor]:
        decay = _C * torch.nn.functional.logsigmoid(parameters["Lambda"])  # the logarithm of a where r = 1
        return {"V": parameters["V"], "b": parameters["b"].unsqueeze(1), "decay": decay.unsqueeze(1)}

    def drive(self, weights: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        return torch.baddbmm(weights["b"], inputs, weights["V"].mT)

    def _kept(self, weights: Mapping[str, Tensor], drive: Tensor) -> tuple[Tensor, Tensor]:
        """Return a and sqrt(1 - a^2), (networks, batch, units), from the logarithm y of a: e^y = sigma(y) / sigma(-y),
        and 1 - e^(2 y) = tanh(-y) (1 + e^(2 y)) without cancellation."""
        y = weights["decay"] * torch.sigmoid(drive[..., : self.units])
        a = torch.sigmoid(y) / torch.sigmoid(-y)
        return a, torch.sqrt(torch.tanh(-y) * (1 + a * a))

    def step(self, weights: Mapping[str, Tensor], drive: Tensor, state: State, noise: Tensor | None = None) -> State:
        a, rest = self._kept(weights, drive)
        n = self.units
        given = torch.sigmoid(drive[..., n : 2 * n]) * drive[..., 2 * n :]
        return {"h": a * state["h"] + rest * given}

    def linearise(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> tuple[State, Blocks]:
        return self.step(weights, drive, state), {("h", "h"): Block(diagonal=self._kept(weights, drive)[0])}
