"""Generic automatic differentiation: what a person writes for a cell nobody has derived a Jacobian for.

torch.func.jacrev of the cell's step (the faster of reverse and forward mode here), vectorised over the batch by vmap,
one step at a time; J Q; torch.linalg.qr. The inputs' share of the pre-activations is computed for all steps at once.
"""

import torch
from torch import Tensor
from torch.func import jacrev, vmap

from aelle_core.cells import Network


@torch.no_grad()
def autodiff_spectrum(network: Network, inputs: Tensor, *, hidden: bool) -> Tensor:
    """(batch, size) exponents, nats per step, in the order of the directions."""
    cell = network.cell
    weights = network.prepare(inputs.dtype, inputs.device)
    batch, steps, _ = inputs.shape
    drive = cell.drive(weights, inputs.flatten(0, 1)[None])[0].unflatten(0, (batch, steps))
    size = cell.units if hidden else cell.state_size

    def step(state: Tensor, drive: Tensor) -> Tensor:
        return cell.join(cell.step(weights, drive[None, None], cell.split(state[None, None])))[0, 0]

    def of_part(part: Tensor, rest: Tensor, drive: Tensor) -> Tensor:
        return step(torch.cat([part, rest]), drive)[:size]

    jacobian, advance = vmap(jacrev(of_part)), vmap(step)
    state = inputs.new_zeros(batch, cell.state_size)
    Q = torch.eye(size, dtype=inputs.dtype, device=inputs.device).expand(batch, -1, -1)
    total = inputs.new_zeros(batch, size)
    for time in range(steps):
        J = jacobian(state[:, :size], state[:, size:], drive[:, time])
        state = advance(state, drive[:, time])
        Q, R = torch.linalg.qr(J @ Q)
        total += R.diagonal(dim1=-2, dim2=-1).abs().log()
    return total / steps
