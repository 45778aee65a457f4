"""The algorithm: push tangent vectors along a trajectory, orthogonalise, add up the logarithms.

Benettin, Galgani, Giorgilli, Strelcyn, Meccanica 15 (1980); Geist, Parlitz, Lauterborn, Prog. Theor. Phys. 83 (1990).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from aelle_core.lyapunov.orthogonalisation import orthogonalise
from aelle_core.lyapunov.systems import TangentSystem


@dataclass(frozen=True)
class Growth:
    """Logarithmic growth summed over `steps` steps after the warm-up: of each tangent direction (matrices, k), and
    of the volume, log |det J| (matrices,) or None. `finite` (matrices,) is False where the trajectory was not."""

    logarithms: Tensor
    volumes: Tensor | None
    finite: Tensor
    steps: int


def evolve(
    system: TangentSystem,
    k: int,
    steps: int,
    warmup: int,
    like: Tensor,
    *,
    rounding: torch.Generator | None = None,
    on_step: Callable[[int], object] | None = None,
) -> Growth:
    """Follow k tangent directions for `steps` steps, the first `warmup` of them without counting.

    With a generator in `rounding`, tangents are disturbed by a few units of the last place at every step, so that a
    second pass shows which exponents rounding has spoilt. A trajectory that stops being finite is marked and fed
    with the identity from then on; the others are left alone.
    """
    tangents = torch.eye(system.size, k, dtype=like.dtype, device=like.device).expand(system.matrices, -1, -1)
    total = like.new_zeros(system.matrices, k)
    volumes: Tensor | None = like.new_zeros(system.matrices)
    finite = torch.ones(system.matrices, dtype=torch.bool, device=like.device)
    identity = tangents[:1]
    state = system.start()
    for time in range(steps):
        state, pushed, volume = system.advance(time, state, _disturbed(tangents, rounding))
        finite &= pushed.isfinite().all(dim=-1).all(dim=-1) & state.reshape(system.matrices, -1).isfinite().all(dim=-1)
        pushed = torch.where(finite[:, None, None], pushed, identity)
        tangents, logarithms = orthogonalise(_disturbed(pushed, rounding))
        if time >= warmup:
            total += logarithms
            volumes = volumes + volume if volumes is not None and volume is not None else None
        if on_step is not None:
            on_step(time + 1)
    return Growth(total, volumes, finite, steps - warmup)


def _disturbed(matrix: Tensor, rounding: torch.Generator | None) -> Tensor:
    if rounding is None:
        return matrix
    noise = torch.empty(matrix.shape, dtype=matrix.dtype).uniform_(-1, 1, generator=rounding).to(matrix.device)
    return matrix * (1 + 4 * torch.finfo(matrix.dtype).eps * noise)
