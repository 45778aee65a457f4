"""Lyapunov spectra in as many digits as they need, from the cells' equations alone.

Nothing is shared with the product: the equations stand here a second time, in textbook form, over numpy arrays of
MPFR's numbers (gmpy2). Such a number has a mantissa of the working precision and an exponent nearly without bounds, so
a slope of e^-10000 is no underflow; what a sum loses by cancellation comes back with more digits.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal

import gmpy2
import numpy as np
import torch

Numbers = np.ndarray
"""An array of MPFR's numbers."""

Step = Callable[[Mapping[str, Any], Numbers, Numbers], tuple[Numbers, Numbers, Numbers]]
"""(parameters and constants, input, joined state) -> the new state, its Jacobian by the old state, and the
pre-activations whose saturation the Jacobian can hang on (see `_digits_to_start`)."""

FEWEST_DIGITS = 50
MOST_DIGITS = 200_000
TOLERANCE = 1e-12  # nats per step; relative for exponents above 1 in magnitude

to_numbers = np.frompyfunc(gmpy2.mpfr, 1, 1)
_exp = np.frompyfunc(gmpy2.exp, 1, 1)
_tanh = np.frompyfunc(gmpy2.tanh, 1, 1)
_cosh = np.frompyfunc(gmpy2.cosh, 1, 1)
_log = np.frompyfunc(gmpy2.log, 1, 1)
_sqrt = np.frompyfunc(gmpy2.sqrt, 1, 1)
_cos = np.frompyfunc(gmpy2.cos, 1, 1)
_sin = np.frompyfunc(gmpy2.sin, 1, 1)
_sign = np.frompyfunc(lambda number: gmpy2.mpfr(gmpy2.sign(number)), 1, 1)
_NONE = np.zeros(0, dtype=object)


def working_digits(digits: int) -> AbstractContextManager[Any]:
    """Within: arithmetic of at least so many decimal digits."""
    precision = math.ceil(digits * math.log2(10)) + 1
    return gmpy2.context(precision=precision, emin=gmpy2.get_emin_min(), emax=gmpy2.get_emax_max())


def arrays_of(network: Any) -> dict[str, np.ndarray]:
    """A single network's parameters in float64 as `reference_spectrum` takes them."""
    arrays = {name: value.double().numpy() for name, value in network.parameters.items()}
    if network.cell.name in ("ornn", "exprnn"):  # the exponential of the trained matrix, as rounded by the product
        arrays["O"] = network.prepare(torch.float64)["O"][0].numpy()
    return arrays


def _identity(size: int) -> Numbers:
    return to_numbers(np.eye(size))


def _rows(factors: Numbers, matrix: Numbers) -> Numbers:
    """diag(factors) matrix."""
    return factors[:, None] * matrix


def _tanh_slope(a: Numbers) -> Numbers:
    return 1 / _cosh(a) ** 2


def _sigmoid(a: Numbers) -> Numbers:
    return 1 / (1 + _exp(-a))


def _sigmoid_slope(a: Numbers) -> Numbers:
    return 1 / (2 * _cosh(a / 2)) ** 2


def _elman_pre_activation(p: Mapping[str, Any], x: Numbers, h: Numbers) -> Numbers:
    return p["weight_ih"] @ x + p["bias_ih"] + p["weight_hh"] @ h + p["bias_hh"]


def _rnn(p: Mapping[str, Any], x: Numbers, h: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """h' = tanh(W x + U h + b)."""
    a = _elman_pre_activation(p, x, h)
    return _tanh(a), _rows(_tanh_slope(a), p["weight_hh"]), a


def _rnn_relu(p: Mapping[str, Any], x: Numbers, h: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """h' = max(0, W x + U h + b)."""
    a = _elman_pre_activation(p, x, h)
    active = to_numbers((a > 0).astype(float))
    return active * a, _rows(active, p["weight_hh"]), _NONE


def _esn(p: Mapping[str, Any], x: Numbers, h: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """h' = (1 - leak) h + leak tanh(input_scale W x + U h + b)."""
    a = p["input_scale"] * (p["W"] @ x) + p["U"] @ h + p["b"]
    new = (1 - p["leak"]) * h + p["leak"] * _tanh(a)
    return new, (1 - p["leak"]) * _identity(len(h)) + p["leak"] * _rows(_tanh_slope(a), p["U"]), a


def _plrnn(p: Mapping[str, Any], x: Numbers, z: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """z' = A z + W max(0, z) + C x + h."""
    active = to_numbers((z > 0).astype(float))
    new = p["A"] * z + p["W"] @ (active * z) + p["C"] @ x + p["h"]
    return new, _rows(p["A"], _identity(len(z))) + p["W"] * active[None, :], _NONE


def _gru(p: Mapping[str, Any], x: Numbers, h: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """r, z = sigma(i + k), n = tanh(i_n + r k_n), h' = (1 - z) n + z h with i = W x + b_i and k = U h + b_h."""
    U_r, U_z, U_n = np.split(p["weight_hh"], 3)
    i_r, i_z, i_n = np.split(p["weight_ih"] @ x + p["bias_ih"], 3)
    k_r, k_z, k_n = np.split(p["weight_hh"] @ h + p["bias_hh"], 3)
    r, z = _sigmoid(i_r + k_r), _sigmoid(i_z + k_z)
    n = _tanh(i_n + r * k_n)
    r_by_h = _rows(_sigmoid_slope(i_r + k_r), U_r)
    z_by_h = _rows(_sigmoid_slope(i_z + k_z), U_z)
    n_by_h = _rows(_tanh_slope(i_n + r * k_n), _rows(k_n, r_by_h) + _rows(r, U_n))
    jacobian = np.diag(z) + _rows(h - n, z_by_h) + _rows(1 - z, n_by_h)
    return (1 - z) * n + z * h, jacobian, np.concatenate([i_r + k_r, i_z + k_z, i_n + r * k_n])


def _lstm(p: Mapping[str, Any], x: Numbers, state: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """i, f, o = sigma(.), g = tanh(.), c' = f c + i g, h' = o tanh(c'); the state is (h, c)."""
    h, c = np.split(state, 2)
    U_i, U_f, U_g, U_o = np.split(p["weight_hh"], 4)
    a = _elman_pre_activation(p, x, h)
    a_i, a_f, a_g, a_o = np.split(a, 4)
    i, f, g, o = _sigmoid(a_i), _sigmoid(a_f), _tanh(a_g), _sigmoid(a_o)
    new_c = f * c + i * g
    c_by_h = (
        _rows(g * _sigmoid_slope(a_i), U_i) + _rows(c * _sigmoid_slope(a_f), U_f) + _rows(i * _tanh_slope(a_g), U_g)
    )
    h_by_c = o * _tanh_slope(new_c)
    h_by_h = _rows(_tanh(new_c) * _sigmoid_slope(a_o), U_o) + _rows(h_by_c, c_by_h)
    jacobian = np.block([[h_by_h, np.diag(h_by_c * f)], [c_by_h, np.diag(f)]])
    return np.concatenate([o * _tanh(new_c), new_c]), jacobian, a


def _asrnn(p: Mapping[str, Any], x: Numbers, h: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """h' = h + e tanh((C - C^T - g I) h + V x + b)."""
    A = p["C"] - p["C"].T - p["gamma"] * _identity(len(h))
    a = A @ h + p["V"] @ x + p["b"]
    jacobian = _identity(len(h)) + _rows(p["step"] * _tanh_slope(a), A)
    return h + p["step"] * _tanh(a), jacobian, _NONE


def _cornn(p: Mapping[str, Any], x: Numbers, state: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """z' = z + dt (tanh(Wy y + Wz z + V x + b) - gamma y - epsilon z), y' = y + dt z'; the state is (y, z)."""
    y, z = np.split(state, 2)
    dt, identity = p["step"], _identity(len(y))
    a = p["Wy"] @ y + p["Wz"] @ z + p["V"] @ x + p["b"]
    new_z = z + dt * (_tanh(a) - p["gamma"] * y - p["epsilon"] * z)
    slope = _tanh_slope(a)
    z_by_y = dt * (_rows(slope, p["Wy"]) - p["gamma"] * identity)
    z_by_z = identity + dt * (_rows(slope, p["Wz"]) - p["epsilon"] * identity)
    jacobian = np.block([[identity + dt * z_by_y, dt * z_by_z], [z_by_y, z_by_z]])
    return np.concatenate([y + dt * new_z, new_z]), jacobian, _NONE


def _lem(p: Mapping[str, Any], x: Numbers, state: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """s, r = dt sigma(.), z' = (1 - r) z + r tanh(.), y' = (1 - s) y + s tanh(Wy z' + .); the state is (y, z)."""
    y, z = np.split(state, 2)
    W_1, W_2, W_z = np.split(p["W"], 3)
    drive_1, drive_2, drive_z, drive_y = np.split(p["V"] @ x + p["b"], 4)
    a_1, a_2, a_z = W_1 @ y + drive_1, W_2 @ y + drive_2, W_z @ y + drive_z
    s, r, u = p["step"] * _sigmoid(a_1), p["step"] * _sigmoid(a_2), _tanh(a_z)
    new_z = (1 - r) * z + r * u
    a_y = p["Wy"] @ new_z + drive_y
    v = _tanh(a_y)
    s_by_y = _rows(p["step"] * _sigmoid_slope(a_1), W_1)
    r_by_y = _rows(p["step"] * _sigmoid_slope(a_2), W_2)
    z_by_y = _rows(u - z, r_by_y) + _rows(r * _tanh_slope(a_z), W_z)
    y_by_new_z = _rows(s * _tanh_slope(a_y), p["Wy"])
    y_by_y = np.diag(1 - s) + _rows(v - y, s_by_y) + y_by_new_z @ z_by_y
    jacobian = np.block([[y_by_y, y_by_new_z * (1 - r)], [z_by_y, np.diag(1 - r)]])
    return np.concatenate([(1 - s) * y + s * v, new_z]), jacobian, np.concatenate([a_1, a_2, a_z, a_y])


def _lipschitz(p: Mapping[str, Any], x: Numbers, h: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """h' = h + e (A h + tanh(W h + U x + b)), A and W = (1 - beta)(M + M^T) + beta (M - M^T) - gamma I."""
    identity, beta = _identity(len(h)), p["beta"]
    A, W = ((1 - beta) * (M + M.T) + beta * (M - M.T) - p["gamma"] * identity for M in (p["M_A"], p["M_W"]))
    a = W @ h + p["U"] @ x + p["b"]
    jacobian = identity + p["step"] * (A + _rows(_tanh_slope(a), W))
    return h + p["step"] * (A @ h + _tanh(a)), jacobian, _NONE


def _ornn(p: Mapping[str, Any], x: Numbers, h: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """h' = tanh(O h + V x + b)."""
    a = p["O"] @ h + p["V"] @ x + p["b"]
    return _tanh(a), _rows(_tanh_slope(a), p["O"]), a


def _exprnn(p: Mapping[str, Any], x: Numbers, h: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """h' = sign(a) max(|a| + b, 0), a = O h + V x."""
    a = p["O"] @ h + p["V"] @ x
    size = abs(a) + p["b"]
    open_ = to_numbers((size > 0).astype(float))
    return _sign(a) * size * open_, _rows(open_, p["O"]), _NONE


def _mingru(p: Mapping[str, Any], x: Numbers, h: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """h' = (1 - z) h + z u."""
    a_z, u = np.split(p["V"] @ x + p["b"], 2)
    return _sigmoid(-a_z) * h + _sigmoid(a_z) * u, np.diag(_sigmoid(-a_z)), a_z


def _rglru(p: Mapping[str, Any], x: Numbers, h: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """h' = a h + sqrt(1 - a^2) i u, a = sigma(Lambda)^(8 r)."""
    a_r, a_i, u = np.split(p["V"] @ x + p["b"], 3)
    a = _sigmoid(p["Lambda"]) ** (8 * _sigmoid(a_r))
    rest = _sqrt(1 - a**2)
    return a * h + rest * _sigmoid(a_i) * u, np.diag(a), a_r


def _lru(p: Mapping[str, Any], x: Numbers, state: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """x' = exp(-exp(nu) + i exp(theta)) x + exp(log_gamma) B u."""
    re, im = np.split(state, 2)
    size, phase = _exp(-_exp(p["nu"])), _exp(p["theta"])
    by_re, by_im = size * _cos(phase), size * _sin(phase)
    given = np.tile(_exp(p["log_gamma"]), 2) * (p["B"] @ x)
    new = given + np.concatenate([by_re * re - by_im * im, by_im * re + by_re * im])
    return new, np.block([[np.diag(by_re), np.diag(-by_im)], [np.diag(by_im), np.diag(by_re)]]), _NONE


def _slstm(p: Mapping[str, Any], x: Numbers, state: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """c' = f c + i z, n' = f n + i, h' = o c' / n' in (h, c / n, log n)."""
    h, y, s = np.split(state, 3)
    R_i, R_f, R_z, R_o = np.split(p["R"], 4)
    a = p["W"] @ x + p["R"] @ h + p["b"]
    a_i, a_f, a_z, a_o = np.split(a, 4)
    i, f, z, o, n = _exp(a_i), _sigmoid(a_f), _tanh(a_z), _sigmoid(a_o), _exp(s)
    total = f * n + i
    new_y = (f * n * y + i * z) / total
    new_s = _log(total)
    share, slope_f = i / total, f * _sigmoid(-a_f)
    y_by_f, s_by_f = n * (y - new_y) / total, n / total
    y_by_h = _rows(share * (z - new_y), R_i) + _rows(y_by_f * slope_f, R_f) + _rows(share * _tanh_slope(a_z), R_z)
    s_by_h = _rows(share, R_i) + _rows(s_by_f * slope_f, R_f)
    y_by_y, y_by_s = f * n / total, f * n * (y - new_y) / total
    h_by_h = _rows(o * _sigmoid(-a_o) * new_y, R_o) + _rows(o, y_by_h)
    nothing = _rows(to_numbers(np.zeros(len(h))), _identity(len(h)))
    jacobian = np.block(
        [
            [h_by_h, np.diag(o * y_by_y), np.diag(o * y_by_s)],
            [y_by_h, np.diag(y_by_y), np.diag(y_by_s)],
            [s_by_h, nothing, np.diag(y_by_y)],
        ]
    )
    return np.concatenate([o * new_y, new_y, new_s]), jacobian, a


def _rank1(p: Mapping[str, Any], x: Numbers, state: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """x' = (1 - dt) x + dt (M tanh(x) + w_f z + U u), z = w_o . tanh(x)."""
    rates, dt = _tanh(state), p["step"]
    new = (1 - dt) * state + dt * (p["M"] @ rates + p["w_f"] * (p["w_o"] @ rates) + p["U"] @ x)
    by_rates = p["M"] + np.outer(p["w_f"], p["w_o"])
    return new, (1 - dt) * _identity(len(state)) + dt * by_rates * _tanh_slope(state)[None, :], _NONE


@dataclass(frozen=True)
class Equations:
    """A cell's step, how many parts its state has, and what its constants are unless given."""

    step: Step
    parts: int = 1
    constants: Mapping[str, float] = field(default_factory=dict)


_LIPSCHITZ = Equations(_lipschitz, 1, {"step": 0.1, "beta": 0.75, "gamma": 0.001})

EQUATIONS: dict[str, Equations] = {
    "rnn": Equations(_rnn),
    "rnn_relu": Equations(_rnn_relu),
    "gru": Equations(_gru),
    "lstm": Equations(_lstm, 2),
    "asrnn": Equations(_asrnn, 1, {"step": 0.1, "gamma": 0.01}),
    "cornn": Equations(_cornn, 2, {"step": 0.1, "gamma": 1.0, "epsilon": 1.0}),
    "lem": Equations(_lem, 2, {"step": 1.0}),
    "lipschitz": _LIPSCHITZ,
    "noisy": _LIPSCHITZ,  # the noise is for training
    "ornn": Equations(_ornn),
    "exprnn": Equations(_exprnn),
    "esn": Equations(_esn, 1, {"leak": 0.5, "input_scale": 0.5}),
    "plrnn": Equations(_plrnn),
    "lru": Equations(_lru, 2),
    "mingru": Equations(_mingru),
    "rglru": Equations(_rglru),
    "slstm": Equations(_slstm, 3),
    "rank1": Equations(_rank1, 1, {"step": 0.1}),
}


def reference_spectrum(
    cell: str,
    parameters: Mapping[str, np.ndarray],
    inputs: np.ndarray,
    *,
    constants: Mapping[str, float] | None = None,
    jacobian: Literal["full", "hidden"] = "full",
    initial_state: np.ndarray | None = None,
    digits: int | None = None,
) -> np.ndarray:
    """The exponents of one network on one sequence, nats per step, in the order of the directions (not sorted).

    cell           its registered name
    parameters     float64 arrays, without a network dimension. `ornn` takes its matrix "O" in place of "S": the
                   exponential is the product's to compute, and another rounding of it is another network
    inputs         (time, features)
    constants      those that differ from the equation's defaults
    jacobian       "full", or "hidden": the block of the first part of the state alone
    initial_state  (state size,), parts joined; zeros by default
    digits         decimal digits to compute with; by default as many as it takes for two computations, one with
                   twice the other's digits, to agree to 1e-12 (relative for exponents above 1 in magnitude)

    The frame starts as the identity and is moved by the Jacobian and orthogonalised by Gram-Schmidt after every
    step. A direction is dead, its exponent -inf, once what is left of its vector is only rounding; it leaves the
    frame, and later directions are not made orthogonal to it any more.

    Raises ArithmeticError when `MOST_DIGITS` would not do.
    """
    equations = EQUATIONS[cell]
    problem = _Problem(equations, {**equations.constants, **(constants or {}), **parameters}, inputs, initial_state)
    if digits is not None:
        return problem.exponents(jacobian == "hidden", digits)
    digits = problem.digits_to_start()
    before = None
    while digits <= MOST_DIGITS:
        again = problem.exponents(jacobian == "hidden", digits)
        if before is not None and _agree(before, again):
            return again
        before, digits = again, 2 * digits
    raise ArithmeticError(f"the spectrum of this {cell} needs more than {MOST_DIGITS} digits")


def _agree(first: np.ndarray, second: np.ndarray) -> bool:
    with np.errstate(invalid="ignore"):
        close = np.abs(first - second) <= TOLERANCE * np.maximum(1.0, np.abs(second))
    dead = np.isneginf(first) | np.isneginf(second)
    return bool(np.where(dead, first == second, close).all())


@dataclass(frozen=True)
class _Problem:
    equations: Equations
    parameters: Mapping[str, Any]
    inputs: np.ndarray
    initial_state: np.ndarray | None

    @property
    def units(self) -> int:
        """The columns of any recurrent matrix, or the length of a diagonal one."""
        recurrent = ("weight_hh", "C", "Wy", "M_A", "O", "M", "R")
        if (
            diagonal := next((self.parameters[name] for name in ("nu", "Lambda") if name in self.parameters), None)
        ) is not None:
            return len(diagonal)
        if "A" in self.parameters:  # plrnn's diagonal; its C reads the inputs
            return len(self.parameters["A"])
        if "U" in self.parameters and {"W", "b"} <= set(self.parameters) and not {"R", "M"} & set(self.parameters):
            return len(self.parameters["b"])  # esn's reservoir
        if "V" in self.parameters and set(self.parameters) == {"V", "b"}:
            return len(self.parameters["b"]) // 2
        return next(np.shape(self.parameters[name])[1] for name in recurrent if name in self.parameters)

    def trajectory(self) -> Iterator[tuple[Numbers, Numbers]]:
        """Every step's Jacobian and pre-activations, in the working precision of the moment."""
        p = {name: to_numbers(np.asarray(value, dtype=float)) for name, value in self.parameters.items()}
        given = self.initial_state
        state = to_numbers(np.zeros(self.equations.parts * self.units) if given is None else np.asarray(given, float))
        for x in to_numbers(np.asarray(self.inputs, dtype=float)):
            state, jacobian, pre_activations = self.equations.step(p, x, state)
            yield jacobian, pre_activations

    def digits_to_start(self) -> int:
        """Digits that tell a saturated gate from its limit, so that no difference vanishes unseen.

        Two computations would agree wrongly where a factor such as h - n, of states within e^-2|a| of 1, is zero in
        both, or where a direction is taken for dead in both: its vector shrinks by as much as e^-4|a| when there is
        nothing but slopes in the Jacobian. The Jacobians of relu and of the residual cells have neither.
        """
        with working_digits(FEWEST_DIGITS):
            largest = max((abs(a) for _, several in self.trajectory() for a in several), default=gmpy2.mpfr(0))
            return FEWEST_DIGITS + int(4 * largest / math.log(10))

    def exponents(self, hidden: bool, digits: int) -> np.ndarray:
        """The spectrum in arithmetic of that many digits."""
        with working_digits(digits):
            rounding = gmpy2.mpfr(10) ** -(9 * digits // 10)
            size = self.units * (1 if hidden else self.equations.parts)
            frame = dict(enumerate(_identity(size)))
            sums = [gmpy2.mpfr(0)] * size
            for jacobian, _ in self.trajectory():
                moved = {index: jacobian[:size, :size] @ vector for index, vector in frame.items()}
                frame = {}
                for index, vector in moved.items():
                    length = gmpy2.sqrt(vector @ vector)
                    for earlier in frame.values():
                        vector = vector - (earlier @ vector) * earlier
                    left = gmpy2.sqrt(vector @ vector)
                    if left <= rounding * length:
                        sums[index] = gmpy2.mpfr("-inf")
                        continue
                    frame[index] = vector / left
                    sums[index] += gmpy2.log(left)
            return np.array([float(total / len(self.inputs)) for total in sums])
