"""Covariant Lyapunov vectors: the directions that grow at each exponent, carried by the dynamics themselves.

Ginelli, Poggi, Turchi, Chaté, Livi, Politi, Characterizing dynamics with covariant Lyapunov vectors, Physical Review
Letters 99 (2007): tangents are made orthonormal going forward, A_t = J_t Q_{t-1} = Q_t R_t; going back, coefficients
C_{t-1} = R_t^-1 C_t, each column normalised, settle on V_t = Q_t C_t with J_t v_{t-1} parallel to v_t.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from aelle_core.foundation.errors import UserError
from aelle_core.lyapunov.accepting.checks import checked_whole
from aelle_core.lyapunov.differentiable.exponents import accepted_system
from aelle_core.lyapunov.differentiable.factors import Factors


@dataclass(frozen=True, eq=False)
class CovariantVectors:
    """Covariant Lyapunov vectors along trajectories.

    vectors   (batch, time, size, k) unit vectors after each step that is kept, in the order of the exponents
    growth    (batch, time, k) nats by which each vector grew in the step that led there: its mean over time is the
              exponent, and single steps say which input makes the network forget or tell apart
    exponents (k,) the mean of `growth` over time and sequences
    first     the number of the first step that is kept, from 0
    """

    vectors: np.ndarray
    growth: np.ndarray
    exponents: np.ndarray
    first: int

    def angles(self, split: int | None = None) -> np.ndarray:
        """Return the smallest angle, (batch, time) in radians, between the first `split` vectors and the others.

        By default the split stands after the last positive exponent: between expanding and contracting directions. An
        angle near 0 is a tangency, where the dynamics are not hyperbolic. Raises UserError where one side is empty.
        """
        k = self.vectors.shape[-1]
        at = int((self.exponents > 0).sum()) if split is None else split
        if not 0 < at < k:
            raise UserError(f"split={at}: expected 1 to {k - 1}, vectors on both sides")
        fast, _ = np.linalg.qr(self.vectors[..., :at])
        slow, _ = np.linalg.qr(self.vectors[..., at:])
        cosines = np.linalg.svd(fast.swapaxes(-1, -2) @ slow, compute_uv=False)[..., 0]
        return np.arccos(np.clip(cosines, 0.0, 1.0))


def covariant_vectors(
    system: Any,
    inputs: Tensor | None = None,
    *,
    k: int | None = None,
    jacobian: Literal["full", "hidden"] = "full",
    warmup: int = 0,
    settle: int = 0,
    steps: int | None = None,
    initial_state: Tensor | None = None,
) -> CovariantVectors:
    """Return the covariant Lyapunov vectors of a system along inputs.

    Args:
        system, inputs, k, jacobian, steps, initial_state: As in `lyapunov_exponents`.
        warmup: Steps at the start in which the orthonormal tangents settle; not kept.
        settle: Steps at the end in which the coefficients settle going back; not kept.

    Raises:
        UserError: On what does not fit together, and where one of the k directions is dead: a Jacobian that takes a
            direction to zero has no way back. A smaller `k` follows the living ones.

    >>> import torch
    >>> from aelle_core.lyapunov.covariant import covariant_vectors
    >>> matrix = torch.tensor([[2.0, 1.0], [0.0, 0.5]], dtype=torch.float64)
    >>> start = torch.ones(1, 2)
    >>> found = covariant_vectors(lambda _, s: s @ matrix.mT, steps=60, initial_state=start, warmup=20, settle=20)
    >>> found.vectors[0, 0].round(3).tolist()  # the eigenvectors (1, 0) and (-2, 3) / sqrt(13), up to sign
    [[1.0, -0.555], [0.0, 0.832]]
    """
    with torch.no_grad():
        built, given, start, length = accepted_system(system, inputs, jacobian == "hidden", steps, initial_state)
        count = built.size if k is None else checked_whole("k", k, 1, built.size)
        skipped = checked_whole("warmup", warmup, 0, length - 1)
        dropped = checked_whole("settle", settle, 0, length - 1 - skipped)
        advance, state = built.prepare(), start
        tangents = torch.eye(built.size, count, dtype=start.dtype).expand(len(start), -1, -1)
        kept: list[Factors] = []
        for step in range(length):
            state, linear = advance(None if given is None else given[:, step], state)
            factors = Factors.of(linear.push(tangents))
            if bool((factors.radii == 0).any()):
                alive = int((factors.radii > 0).sum(dim=-1).min())
                verb = "is" if count - alive == 1 else "are"
                raise UserError(
                    f"k={count}: {count - alive} of these directions {verb} dead at step {step + 1}; "
                    f"expected at most {alive}"
                )
            tangents = factors.q
            if step >= skipped:
                kept.append(factors)
        coefficients = torch.eye(count, dtype=start.dtype).expand(len(start), -1, -1)
        vectors: list[Tensor] = []
        growth: list[Tensor] = []
        for position in range(len(kept) - 1, -1, -1):
            factors = kept[position]
            if position < len(kept) - dropped:
                directions = factors.q @ coefficients
                vectors.append(directions / torch.linalg.vector_norm(directions, dim=-2, keepdim=True))
            # R = D N: with D^-1 first, column by column, coefficients stay of the size of ratios of radii.
            before = torch.linalg.solve_triangular(factors.unit, coefficients / factors.radii.unsqueeze(-1), upper=True)
            lengths = torch.linalg.vector_norm(before, dim=-2)
            if position < len(kept) - dropped:
                growth.append(-lengths.log())
            coefficients = before / lengths.unsqueeze(-2)
        along = torch.stack(growth[::-1], dim=1).cpu().numpy()
        return CovariantVectors(
            vectors=torch.stack(vectors[::-1], dim=1).cpu().numpy(),
            growth=along,
            exponents=along.mean(axis=(0, 1)),
            first=skipped,
        )
