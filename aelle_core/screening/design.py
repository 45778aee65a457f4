"""An experiment: draw weights, and change them until the network has a given spectrum."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aelle_core.cells import Cell, Network
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.interpolation import interpolate_spectrum
from aelle_core.foundation.random_streams import generator
from aelle_core.foundation.whole_numbers import check_whole
from aelle_core.lyapunov.differentiable import lyapunov_exponents

_FLOOR = -40.0


@dataclass(frozen=True)
class Designed:
    """A network with about the spectrum that was asked for.

    network    the cell with its weights, float32
    spectrum   (k,) its exponents over the given inputs, nats per step, descending
    distance   root mean square of the difference to the target, nats per step
    history    (steps + 1,) the distance before each step and after the last; the network is the nearest of them
    """

    network: Network
    spectrum: np.ndarray
    distance: float
    history: np.ndarray


def design(
    cell: Cell,
    spectrum: Any,
    inputs: Tensor,
    *,
    start: Network | None = None,
    scale: float | None = None,
    steps: int = 150,
    learning_rate: float = 0.01,
    seed: int = 0,
    on_step: Callable[[int, float], object] | None = None,
) -> Designed:
    """Return weights of `cell` whose hidden-state spectrum along the inputs is near a given one. AN EXPERIMENT.

    A spectrum is matched to about 0.2 nats per step in 150 steps, but networks that start so have trained no better
    than those that screening chooses for the same spectrum, and designing costs more: to choose a start, use `screen`.
    Design is for the question what a spectrum alone brings about. The target has to be one that the cell can have, a
    decoded AeLLE point near known networks (`AeLLE.decode`, distance below 1) for one: an optimum of a predictor far
    from what it knows is none.

    Args:
        cell: As `get_cell` returns it.
        spectrum: (k,) exponents, nats per step; of another number than the cell's units they are interpolated.
        inputs: (batch, time, features), like those to be trained on.
        start: A network of the cell to begin with; drawn from U(-scale, scale) by `seed` without one.
        scale: By default 1 / sqrt(units).
        steps, learning_rate: Of Adam on the mean squared difference, in which exponents count down to -40.
        on_step: Called with the number of steps taken and the distance.

    Raises UserError on what does not fit together.

    >>> import torch
    >>> from aelle_core.cells import get_cell
    >>> from aelle_core.screening import design
    >>> found = design(get_cell("rnn", 2, 4), [-0.1, -0.3, -0.6, -1.0], torch.zeros(1, 10, 2), steps=30)
    >>> bool(found.distance < found.history[0])
    True
    """
    target = _checked_target(spectrum, cell.units)
    check_whole("steps", steps, 1)
    if start is not None and (start.packed or start.cell.name != cell.name or start.cell.units != cell.units):
        raise UserError(f"start is {start.networks} of {start.cell!r}: expected one network of {cell!r}")
    drawn = start.parameters if start is not None else _drawn(cell, scale, seed)
    constants = {} if start is None else start.constants
    weights = {name: drawn[name].detach().clone().requires_grad_() for name in cell.parameter_shapes()}
    adam = torch.optim.Adam(list(weights.values()), learning_rate)
    history: list[float] = []
    best: tuple[float, np.ndarray, dict[str, Tensor]] = (np.inf, np.full(len(target), np.nan), {})
    for step in range(steps + 1):
        exponents = lyapunov_exponents(Network(cell, weights, constants), inputs, jacobian="hidden")
        reached = torch.sort(exponents.clamp(min=_FLOOR).mean(dim=0), descending=True).values
        loss = (reached - target).square().mean()
        distance = float(loss.detach().sqrt())
        history.append(distance)
        if distance < best[0]:
            best = (
                distance,
                reached.detach().numpy().copy(),
                {key: tensor.detach().clone() for key, tensor in weights.items()},
            )
        if on_step is not None:
            on_step(step, distance)
        if step == steps or not np.isfinite(distance):
            break
        adam.zero_grad()
        loss.backward()
        adam.step()
    if not best[2]:
        raise UserError("the network to begin with has no finite spectrum: expected another start or a smaller scale")
    return Designed(Network(cell, best[2], constants), best[1], best[0], np.array(history))


def _checked_target(spectrum: Any, units: int) -> Tensor:
    given = np.sort(np.asarray(spectrum, dtype=float).ravel())[::-1]
    if np.ndim(spectrum) != 1 or not len(given) or np.isnan(given).any() or np.isposinf(given).any():
        raise UserError(f"spectrum {np.shape(spectrum)}: expected (k,) exponents in nats per step, none of them NaN")
    return torch.from_numpy(np.maximum(interpolate_spectrum(given, units), _FLOOR).copy())


def _drawn(cell: Cell, scale: float | None, seed: int) -> dict[str, Tensor]:
    bound = cell.units**-0.5 if scale is None else scale
    if not 0 < bound < np.inf:
        raise UserError(f"scale={scale!r}: expected a number above 0")
    return cell.initialise(generator(seed, "weights"), bound)
