"""The public function."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from aelle_core.cells import Network
from aelle_core.errors import UserError
from aelle_core.lyapunov.adapters import build_system, checked_inputs
from aelle_core.lyapunov.engine import Growth, evolve
from aelle_core.lyapunov.result import LyapunovSpectrum
from aelle_core.lyapunov.systems import StackSystem, Step, TangentSystem

_DTYPES = {"exact": torch.float64, "fast": torch.float32}
_RESOLUTION = {"exact": 1e-7, "fast": 1e-3}  # nats per step that two roundings may differ by


def lyapunov_spectrum(
    system: Network | nn.Module | Step,
    inputs: Tensor | np.ndarray | None = None,
    *,
    steps: int | None = None,
    initial_state: Tensor | np.ndarray | tuple[Tensor, Tensor] | None = None,
    jacobian: Literal["full", "hidden"] = "full",
    k: int | None = None,
    warmup: int = 0,
    precision: Literal["exact", "fast"] = "exact",
    device: torch.device | str | None = None,
    layer: str | None = None,
    check: bool = True,
    on_step: Callable[[int], object] | None = None,
) -> LyapunovSpectrum:
    """The Lyapunov spectrum of a recurrent network, or of any differentiable map, in nats per step.

    Tangent vectors Q move with the Jacobian J_t[i, j] = d state_t[i] / d state_{t-1}[j] along the trajectory,
    Q <- J_t Q, and are orthogonalised after every step; exponent i is the mean of log |r_ii|. Derivatives and
    orthogonalisation keep their accuracy on saturated networks.

    system         a `Network` (a cell with its parameters); a torch.nn.RNN, GRU or LSTM of any depth (batch_first
                   either way) or an RNNCell, GRUCell or LSTMCell; a torch.nn.Module that holds one of these: it is
                   run on the inputs, and the spectrum is of its recurrent layer on what that layer receives; or
                   step(x, state) -> state on tensors (batch, features) and (batch, state_size)
    inputs         (batch, time, features) whatever the layer's batch_first is; for a module around a recurrent
                   layer, whatever its forward takes; None for an autonomous map, whose step is given x = None
    steps          how many steps to take: needed without inputs, otherwise all of them
    initial_state  (batch, state_size), layer by layer and within a layer h before c; or torch's own h_0 or
                   (h_0, c_0); zeros by default; needed for a step function
    jacobian       "full": of the whole state, the dynamical system's spectrum (LSTM: h and c, 2N exponents);
                   "hidden": d h_t / d h_{t-1} alone (N exponents; what the paper uses)
    k              how many of the leading exponents; all by default
    warmup         steps at the start that turn the tangents but are not counted
    precision      "exact" (float64, safe on saturated networks) or "fast" (float32)
    device         where to compute; by default where the inputs or weights are
    layer          which recurrent layer of a module with several, by its name in the module
    check          a second pass with other rounding, which tells what is `resolved`; doubles the time
    on_step        called after every step with their number so far

    A network whose weights or states are not finite gives a result with status "non-finite"; it raises nothing.
    Raises UserError, repeating what was given and what was expected, on anything that cannot be asked for.

    Benettin et al. 1980; Engelken, Wolf, Abbott, Lyapunov spectra of chaotic recurrent neural networks, 2023; Vogt,
    Zheng, Shlizerman, 2024 (section 3).
    """
    for label, value, choices in (
        ("jacobian", jacobian, ("full", "hidden")),
        ("precision", precision, _DTYPES),
    ):
        if value not in choices:
            raise UserError(f"{label}={value!r}: expected one of {', '.join(map(repr, choices))}")
    if isinstance(system, Network) and system.packed:
        raise UserError("lyapunov_spectrum was given a pack of networks: expected one; pack_spectra takes packs")
    with torch.no_grad():
        built, length, like = build_system(
            system,
            inputs,
            steps=steps,
            initial_state=initial_state,
            hidden=jacobian == "hidden",
            dtype=_DTYPES[precision],
            device=device,
            layer=layer,
        )
        followed = _checked_count("k", k, built.size, 1, built.size)
        skipped = _checked_count("warmup", warmup, 0, 0, length - 1)
        growth, resolved = _passes(built, followed, length, skipped, like, precision if check else None, on_step)
    return _result(growth, resolved, slice(None), built.size)


def pack_spectra(
    network: Network,
    inputs: Tensor,
    *,
    jacobian: Literal["full", "hidden"] = "full",
    warmup: int = 0,
    precision: Literal["exact", "fast"] = "exact",
    device: torch.device | str | None = None,
    check: bool = False,
) -> list[LyapunovSpectrum]:
    """The spectra of a pack of networks on the same inputs (batch, time, features), one result per network.

    Everything is as in `lyapunov_spectrum`, but the check for rounding is off unless asked for. A network that is
    not finite does not disturb its neighbours.
    """
    with torch.no_grad():
        given = checked_inputs(inputs, network.cell.input_size, _DTYPES[precision], device)
        system = StackSystem([network], given, hidden=jacobian == "hidden")
        length = given.shape[1]
        skipped = _checked_count("warmup", warmup, 0, 0, length - 1)
        growth, resolved = _passes(system, system.size, length, skipped, given, precision if check else None, None)
    batch = given.shape[0]
    return [
        _result(growth, resolved, slice(start, start + batch), system.size)
        for start in range(0, system.matrices, batch)
    ]


def _checked_count(label: str, value: int | None, default: int, low: int, high: int) -> int:
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise UserError(f"{label}={value!r}: expected a whole number from {low} to {high}")
    return value


def _passes(
    system: TangentSystem,
    k: int,
    steps: int,
    warmup: int,
    like: Tensor,
    precision: str | None,
    on_step: Callable[[int], object] | None,
) -> tuple[Growth, Tensor | None]:
    """The growth, and per trajectory and direction whether a pass with other rounding agrees (None: not asked)."""
    growth = evolve(system, k, steps, warmup, like, on_step=on_step)
    if precision is None:
        return growth, None
    again = evolve(system, k, steps, warmup, like, rounding=torch.Generator().manual_seed(0))
    difference = (growth.logarithms - again.logarithms).abs() / growth.steps
    dead = growth.logarithms.isneginf() & again.logarithms.isneginf()
    return growth, (difference <= _RESOLUTION[precision]) | (dead & system.exact_zeros)


def _result(growth: Growth, resolved: Tensor | None, rows: slice, size: int) -> LyapunovSpectrum:
    per_sequence = (growth.logarithms[rows] / growth.steps).double().cpu().numpy()
    if not bool(growth.finite[rows].all()):
        nothing = np.full_like(per_sequence, np.nan)
        unresolved = None if resolved is None else np.zeros(per_sequence.shape[1], dtype=bool)
        return LyapunovSpectrum(
            nothing[0], nothing, nothing[0], unresolved, float("nan"), 0, "non-finite", growth.steps, size
        )
    exponents = per_sequence.mean(axis=0)
    order = np.argsort(-exponents, kind="stable")
    per_sequence = per_sequence[:, order]
    residual = float("nan")
    if growth.volumes is not None and per_sequence.shape[1] == size:
        residual = _sum_rule_residual(per_sequence.sum(axis=1), (growth.volumes[rows] / growth.steps).cpu().numpy())
    count = len(per_sequence)
    with np.errstate(invalid="ignore"):
        stderr = per_sequence.std(axis=0, ddof=1) / np.sqrt(count) if count > 1 else np.full(len(order), np.nan)
    return LyapunovSpectrum(
        exponents=exponents[order],
        per_sequence=per_sequence,
        stderr=stderr,
        resolved=None if resolved is None else resolved[rows].all(dim=0).cpu().numpy()[order],
        sum_rule_residual=residual,
        dead_directions=int(np.isneginf(exponents).sum()),
        status="ok",
        steps=growth.steps,
        size=size,
    )


def _sum_rule_residual(sums: np.ndarray, volumes: np.ndarray) -> float:
    both_dead = np.isneginf(sums) & np.isneginf(volumes)
    with np.errstate(invalid="ignore"):
        return float(np.where(both_dead, 0.0, np.abs(sums - volumes)).max())
