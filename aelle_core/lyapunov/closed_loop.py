"""Networks that run freely: each is fed its own output."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from aelle_core.cells import Network, from_torch
from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError, first_line
from aelle_core.lyapunov.accepting.checks import checked_inputs, is_whole, joined_state
from aelle_core.lyapunov.accepting.modules import RECURRENT
from aelle_core.lyapunov.systems import ClosedLoopSystem, StepSystem, System

Readout = nn.Module | tuple[Tensor, Tensor] | Callable[[Tensor], Tensor]


class ClosedLoop:
    """A network whose next input is its last output: a dynamical system of its own.

        h_t = network(feed(y_{t-1}), h_{t-1}),    y_t = readout(h_t) (+ y_{t-1} where `residual`)

    Its state is the network's state and its last output, its size the sum of both.

    Args:
        network: a torch RNN, GRU, LSTM (of any number of layers) or one of their cells; a Network of this project, or
            a pack of them; or, without a readout, a module whose forward(x, state) returns (y, state): x and y are
            (batch, features), the state a tensor or a tuple of tensors, None at first.
        readout: an nn.Linear, or its (weight, bias) with shapes (features, units) and (features,), both with a leading
            dimension for packs; or any differentiable function of the uppermost hidden state (batch, units).
        residual: whether the last output is added; for packs also one number for each network, (networks,).
        feed: what the network reads of an output, (batch, features) -> (batch, inputs); the output itself by default.

    A linear readout without `feed` has its own block in the Jacobian; everything else is differentiated in forward
    mode, for one network.

    >>> loop = ClosedLoop(nn.GRU(3, 24, batch_first=True), nn.Linear(24, 3), residual=True)
    >>> loop.outputs(torch.zeros(2, 10, 3), steps=5).shape
    torch.Size([1, 2, 5, 3])

    Raises UserError on a network, readout or residual of another kind or shape.
    """

    def __init__(
        self,
        network: Network | nn.Module,
        readout: Readout | None = None,
        *,
        residual: bool | Tensor | Sequence[float] = False,
        feed: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.network, self.readout, self.feed = network, readout, feed
        self.module: nn.Module | None = None
        self.layers: list[Network] = []
        if readout is None:
            if not isinstance(network, nn.Module) or isinstance(network, RECURRENT):
                raise UserError(
                    f"ClosedLoop was given a {type(network).__name__} without a readout: expected the readout too, or "
                    "a module with forward(x, state) -> (y, state)"
                )
            self.module = network
        elif isinstance(network, Network):
            self.layers = [network]
        elif isinstance(network, RECURRENT):
            self.layers = from_torch(network)
        else:
            raise UserError(
                f"ClosedLoop was given a {type(network).__name__} with a readout: expected a Network or a torch "
                "recurrent layer or cell"
            )
        self.networks = self.layers[0].networks if self.layers else 1
        self.linear = self._linear()
        self.residual = self._residual(residual)
        if self.linear is None and self.networks > 1:
            raise UserError("ClosedLoop of a pack: expected a linear readout and no feed")

    def _linear(self) -> tuple[Tensor, Tensor] | None:
        """Weight (networks, features, units) and bias (networks, features) of a linear readout that feeds the network
        itself; None for anything else."""
        if self.feed is not None or self.module is not None:
            return None
        weight: Tensor
        bias: Tensor | None
        if isinstance(self.readout, nn.Linear):
            weight, bias = self.readout.weight, self.readout.bias
        elif isinstance(self.readout, tuple):
            weight, bias = (torch.as_tensor(weights) for weights in self.readout)
        else:
            return None
        bias = weight.new_zeros(weight.shape[:-1]) if bias is None else bias
        if weight.dim() == 2:
            weight, bias = weight.unsqueeze(0), bias.unsqueeze(0)
        units, features = self.layers[-1].cell.units, self.layers[0].cell.input_size
        expected = (self.networks, features, units)
        if tuple(weight.shape) != expected or tuple(bias.shape) != expected[:2]:
            raise UserError(
                f"readout has weight {tuple(weight.shape)} and bias {tuple(bias.shape)}: expected {expected} and "
                f"{expected[:2]} (networks, features, units); outputs of another size need feed="
            )
        return weight, bias

    def live_readout(self) -> tuple[Tensor, Tensor | None]:
        """Return weight (features, units) and bias (features,) of one network's linear readout themselves, not copies,
        so that gradients reach them."""
        assert self.linear is not None and self.networks == 1
        given = (self.readout.weight, self.readout.bias) if isinstance(self.readout, nn.Linear) else self.readout
        assert isinstance(given, tuple)
        weight, bias = given
        if weight.dim() == 3:
            weight, bias = weight[0], None if bias is None else bias[0]
        return weight, bias

    def _residual(self, residual: Any) -> Tensor:
        try:
            values = torch.as_tensor(residual, dtype=torch.float64).reshape(-1)
            return values.expand(self.networks)
        except (TypeError, ValueError, RuntimeError) as error:
            raise UserError(f"residual={residual!r}: expected True, False, or ({self.networks},) numbers") from error

    def system(
        self,
        inputs: Any,
        *,
        initial_state: Any = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> System:
        """Return the free run as the engine takes it, from where `inputs` (batch, time, features) have brought the
        network. Raises UserError where these do not fit the network."""
        if self.module is not None:
            given = checked_inputs(inputs, None, None, device)
            return self._of_module(self.module, given, initial_state, dtype)
        given = checked_inputs(inputs, self.layers[0].cell.input_size, None, device or self._home())
        size = sum(network.cell.state_size for network in self.layers)
        state: Tensor | None
        if isinstance(initial_state, Tensor) and initial_state.dim() == 3 and self.networks > 1:
            state = initial_state  # of every network of a pack
        else:
            state = None if initial_state is None else joined_state(initial_state, self.layers, len(given), size)
        if self.linear is not None:
            return ClosedLoopSystem(self.layers, *self.linear, self.residual, given, state)
        return self._of_function(given, state, dtype)

    def outputs(self, inputs: Any, steps: int, *, initial_state: Any = None) -> Tensor:
        """Return the forecast of the steps that come after `inputs` (batch, time, features): (networks, batch, steps,
        features). The first is the output on the last input, the others follow as the network reads its own outputs."""
        if not is_whole(steps) or steps < 1:
            raise UserError(f"steps={steps!r}: expected a whole number of at least 1")
        with torch.no_grad():
            system = self.system(inputs, initial_state=initial_state)
            if isinstance(system, ClosedLoopSystem):
                return system.outputs(steps)
            assert isinstance(system, StepSystem)
            state, features = system.initial_state, self._features
            chosen = [state[:, -features:]]
            for _ in range(steps - 1):
                state = system.step(None, state)
                chosen.append(state[:, -features:])
            return torch.stack(chosen, dim=1).unsqueeze(0)

    def weights_finite(self) -> list[bool]:
        """Return of every network whether all its weights are finite numbers."""
        if self.module is not None or self.linear is None:
            modules = [part for part in (self.module, self.readout) if isinstance(part, nn.Module)]
            weights: list[Tensor] = [weight for module in modules for weight in module.parameters()]
            weights += [weight for layer in self.layers for weight in layer.parameters.values()]
            return [all(bool(weight.isfinite().all()) for weight in weights)]
        weights = [weight for layer in self.layers for weight in layer.parameters.values()]
        finite = torch.stack(
            [weight.reshape(self.networks, -1).isfinite().all(dim=1) for weight in (*weights, *self.linear)]
        )
        return [bool(network) for network in finite.all(dim=0)]

    def _home(self) -> torch.device:
        return next(iter(self.layers[0].parameters.values())).device

    def _of_function(self, inputs: Tensor, state: Tensor | None, dtype: torch.dtype) -> StepSystem:
        """Cells with a readout that is not linear, or with a feed: one step function, differentiated."""
        inputs = inputs.to(dtype)
        weights = [network.prepare(dtype, inputs.device) for network in self.layers]
        cells = [network.cell for network in self.layers]
        sizes = [cell.state_size for cell in cells]
        readout = _in(self.readout, dtype) if isinstance(self.readout, nn.Module) else self.readout
        assert callable(readout)

        def run(x: Tensor, joined: Tensor) -> tuple[Tensor, Tensor]:
            below, new = x.unsqueeze(0), []
            for cell, parameters, old in zip(cells, weights, joined.unsqueeze(0).split(sizes, dim=-1), strict=True):
                stepped = cell.step(parameters, cell.drive(parameters, below), cell.split(old))
                new.append(cell.join(stepped))
                below = stepped[cell.parts[0]]
            return readout(below.squeeze(0)), torch.cat(new, dim=-1).squeeze(0)

        start = inputs.new_zeros(len(inputs), sum(sizes)) if state is None else state.to(inputs)
        return self._free(run, inputs, start)

    def _of_module(self, module: nn.Module, inputs: Tensor, initial_state: Any, dtype: torch.dtype) -> StepSystem:
        module = _in(module, dtype)
        inputs = inputs.to(dtype)
        try:
            state = _each(initial_state, lambda part: torch.as_tensor(part).to(inputs))
            with torch.no_grad():
                returned = module(inputs[:, 0], state)
            output, state = returned
            parts = [state] if isinstance(state, Tensor) else list(state)
            shapes = [part.shape for part in parts]
            # Torch's own states have their batch second: (layers, batch, units).
            along = [0 if len(part) == len(inputs) and part.dim() == 2 else 1 for part in parts]
        except Exception as error:  # whatever a person's forward raises
            raise UserError(
                f"{type(module).__name__} failed on x {tuple(inputs[:, 0].shape)} and the state "
                f"{type(initial_state).__name__}: {first_line(error)}; expected forward(x, state) -> (y, state), "
                "or initial_state="
            ) from error

        def join(given: Any) -> Tensor:
            several = [given] if isinstance(given, Tensor) else list(given)
            return torch.cat([part.movedim(at, 0).flatten(1) for part, at in zip(several, along, strict=True)], dim=-1)

        def split(joined: Tensor) -> Any:
            widths = [shape.numel() // shape[at] for shape, at in zip(shapes, along, strict=True)]
            several = []
            for part, shape, at in zip(joined.split(widths, dim=-1), shapes, along, strict=True):
                rest = [size for axis, size in enumerate(shape) if axis != at]
                several.append(part.unflatten(-1, rest).movedim(0, at).contiguous())
            return several[0] if isinstance(state, Tensor) else type(state)(several)

        def run(x: Tensor, joined: Tensor) -> tuple[Tensor, Tensor]:
            y, new = module(x, split(joined))
            return y, join(new)

        residual = self.residual.to(inputs)
        output = output + residual * inputs[:, 0] if float(residual) else output
        return self._free(run, inputs[:, 1:], join(state), output)

    @staticmethod
    def _ran(run: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        try:
            return run(x, state)
        except UserError:
            raise
        except Exception as error:  # whatever a person's readout raises
            raise UserError(
                f"ClosedLoop: the readout failed on {state.dtype} states of {counted(len(state), 'sequence')}: "
                f"{first_line(error)}; expected a function (batch, units) -> (batch, features) of that dtype"
            ) from error

    def _free(
        self,
        run: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
        inputs: Tensor,
        start: Tensor,
        output: Tensor | None = None,
    ) -> StepSystem:
        residual = self.residual.to(inputs)
        feed = self.feed or (lambda y: y)
        state = start
        with torch.no_grad():
            for x in inputs.unbind(1):
                output, state = self._ran(run, x, state)
                output = output + residual * x if float(residual) else output
        assert output is not None
        self._features = features = output.shape[-1]

        def step(_: Tensor | None, joined: Tensor) -> Tensor:
            y = joined[:, -features:]
            new_y, new = run(feed(y), joined[:, :-features])
            return torch.cat([new, new_y + residual * y if float(residual) else new_y], dim=-1)

        return StepSystem(step, None, torch.cat([state, output], dim=-1))


def _in(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    from aelle_core.lyapunov.accepting.adapters import own_copy

    return own_copy(module, dtype, None)


def _each(given: Any, change: Callable[[Any], Any]) -> Any:
    if given is None:
        return None
    return type(given)(map(change, given)) if isinstance(given, tuple | list) else change(given)
