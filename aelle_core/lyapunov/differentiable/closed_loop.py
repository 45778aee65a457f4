"""Networks that are fed their own output, as systems whose exponents can be differentiated."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from aelle_core.cells import Network
from aelle_core.foundation.errors import UserError
from aelle_core.lyapunov.accepting.checks import checked_inputs, is_whole, joined_state
from aelle_core.lyapunov.closed_loop import ClosedLoop
from aelle_core.lyapunov.differentiable.linear import DenseLinear, Linear
from aelle_core.lyapunov.differentiable.systems import Advance, DifferentiableStack, live_networks


class DifferentiableClosedLoop:
    """Layers of cells whose linear readout is their next input: y_t = W h_t + b + residual y_{t-1}.

    The carried state is all layers' (with what keeps their digits) and then y; the tangent space all layers' states,
    the lowest first, and y. Weights are used live, in float64.

    weight (features, units), bias (features,)
    """

    def __init__(self, layers: Sequence[Network], weight: Tensor, bias: Tensor | None, residual: float) -> None:
        self.stack = DifferentiableStack(layers, hidden=False)
        self.weight, self.bias, self.residual = weight, bias, residual
        self.features = len(weight)
        self.size = self.stack.size + self.features
        self.dead = 0 if residual else self.features  # y then follows from h: no disturbance of it lives a step
        readout = [tensor for tensor in (weight, bias) if tensor is not None and tensor.requires_grad]
        self.tensors = (*self.stack.tensors, *readout)

    def start(self, initial_state: Tensor | None, batch: int, like: Tensor) -> Tensor:
        """Return the carried state (batch, state_size + features) in which the network begins to read: zeros for the
        output, before any."""
        return torch.cat([self.stack.start(initial_state, batch, like), like.new_zeros(batch, self.features)], dim=-1)

    def driven(self, inputs: Tensor, initial_state: Tensor | None) -> Tensor:
        """Return the carried state after inputs (batch, time, features), where the free run begins; gradients flow
        back through it."""
        weights, state = self.stack.live_weights(), self.stack.start(initial_state, len(inputs), inputs)
        output = inputs[:, -1]
        for x in inputs.unbind(1):
            state, _, hidden = self.stack.stepped(weights, x, state)
            output = self._read(hidden, x)
        return torch.cat([state, output], dim=-1)

    def prepare(self) -> Advance:
        weights = self.stack.live_weights()
        readout = self.weight.double()

        def advance(_: Tensor | None, carried: Tensor) -> tuple[Tensor, Linear]:
            state, y = carried[..., : -self.features], carried[..., -self.features :]
            new, rows, hidden = self.stack.stepped(weights, y, state, by_input=True)
            by_y, by_state = rows.split([self.features, self.stack.size], dim=-1)
            own = torch.cat([by_state, by_y], dim=-1)
            top = self.stack.networks[-1].cell
            first = self.stack.size - top.state_size
            of_output = readout @ own[:, first : first + top.units]
            passed_on = self.residual * torch.eye(self.features, dtype=own.dtype, device=own.device)
            of_output = of_output + nn.functional.pad(passed_on, (self.stack.size, 0))
            jacobian = torch.cat([own, of_output], dim=-2)
            return torch.cat([new, self._read(hidden, y)], dim=-1), DenseLinear(jacobian)

        return advance

    def _read(self, hidden: Tensor, x: Tensor) -> Tensor:
        read = hidden @ self.weight.double().mT + self.residual * x
        return read if self.bias is None else read + self.bias.double()


def accepted_closed_loop(
    loop: ClosedLoop, inputs: Any, steps: int | None, initial_state: Any
) -> tuple[DifferentiableClosedLoop, Tensor, int]:
    """Return the free run as a system, the carried state (batch, size) in which it starts, and its length.

    Raises UserError on a pack, a readout that is not linear, and where `steps` or the inputs are missing.
    """
    if loop.networks > 1 or loop.linear is None:
        what = "a pack" if loop.networks > 1 else "a readout that is not linear, or a feed"
        raise UserError(
            f"lyapunov_exponents was given a ClosedLoop with {what}: expected one network with a linear readout; "
            "anything else can be given as a function step(x, state)"
        )
    if not is_whole(steps) or steps < 1:
        raise UserError(f"steps={steps!r}: a ClosedLoop needs the number of steps that it is to run freely")
    if isinstance(loop.network, nn.RNNBase | nn.RNNCellBase):
        layers = live_networks(loop.network)
    else:
        assert isinstance(loop.network, Network)  # a readout belongs to one of the two
        layers = [loop.network]
    if layers[0].packed:
        raise UserError("lyapunov_exponents was given a pack of networks: expected one network")
    weight, bias = loop.live_readout()
    built = DifferentiableClosedLoop(layers, weight, bias, float(loop.residual[0]))
    given = checked_inputs(inputs, layers[0].cell.input_size, None, weight.device)
    if isinstance(inputs, Tensor):  # as it was given, so that gradients reach it
        given = inputs.to(weight.device)
    total = built.stack.size
    if initial_state is not None and not isinstance(initial_state, Tensor):
        initial_state = joined_state(initial_state, layers, len(given), total)
    if initial_state is not None and tuple(initial_state.shape) != (len(given), total):
        raise UserError(f"initial_state has shape {tuple(initial_state.shape)}: expected ({len(given)}, {total})")
    return built, built.driven(given.double(), initial_state), int(steps)
