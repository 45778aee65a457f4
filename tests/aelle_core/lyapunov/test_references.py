"""The high-precision reference against closed forms, finite differences and torch's own cells."""

import math
from typing import Any

import gmpy2
import mpmath
import numpy as np
import pytest
import torch
from torch import nn

from aelle_core.cells import cells, get_cell
from tests.helpers.references import EQUATIONS, Equations, Numbers, reference_spectrum, to_numbers, working_digits

UNITS, FEATURES = 3, 2
DIGITS = 60
CELLS = sorted(EQUATIONS)


def linear(matrix: Any) -> dict[str, np.ndarray]:
    """A relu network that multiplies positive states by a positive matrix, on one input of ones."""
    size = len(matrix)
    zeros = np.zeros(size)
    return {"weight_ih": np.ones((size, 1)), "weight_hh": np.array(matrix), "bias_ih": zeros, "bias_hh": zeros}


def drawn(name: str, gain: float = 1.0, seed: int = 0) -> dict[str, np.ndarray]:
    """Random parameters; `ornn` has any matrix for O, which nothing here needs orthogonal."""
    source = np.random.default_rng(seed)
    shapes = get_cell(name, FEATURES, UNITS).parameter_shapes()
    return {"O" if key == "S" else key: gain * source.uniform(-1, 1, shape) for key, shape in shapes.items()}


def numbers(equations: Equations, parameters: dict[str, np.ndarray]) -> dict[str, Numbers]:
    return {key: to_numbers(np.asarray(value)) for key, value in {**equations.constants, **parameters}.items()}


def test_every_registered_cell_has_its_equations() -> None:
    assert set(EQUATIONS) == set(cells)
    for name, cell in cells.items():
        assert EQUATIONS[name].parts == len(cell.parts)
        assert EQUATIONS[name].constants.items() <= cell.defaults.items()


@pytest.mark.parametrize("steps", [1, 2, 15])
def test_symmetric_linear_map(steps: int) -> None:
    """Powers of a matrix with eigenvalues 3 and 1 in closed form: the first column is (3^t + 1, 3^t - 1) / 2."""
    exponents = reference_spectrum("rnn_relu", linear([[2.0, 1.0], [1.0, 2.0]]), np.ones((steps, 1)))
    first = math.log((9**steps + 1) / 2) / (2 * steps)
    np.testing.assert_allclose(exponents, [first, math.log(3) - first], rtol=0, atol=1e-14)


def test_positive_linear_map_against_the_qr_of_its_power() -> None:
    matrix, steps = np.random.default_rng(0).uniform(0, 1, (4, 4)), 30
    exponents = reference_spectrum("rnn_relu", linear(matrix), np.ones((steps, 1)))
    with mpmath.workdps(200):
        _, r = mpmath.qr(mpmath.matrix(matrix.tolist()) ** steps)
        expected = [float(mpmath.log(abs(r[i, i])) / steps) for i in range(4)]
    np.testing.assert_allclose(exponents, expected, rtol=1e-14, atol=1e-14)


def test_exponents_come_in_the_order_of_the_directions() -> None:
    matrix = np.diag([0.5, 3.0, 0.01, 2.0]) + np.triu(np.ones((4, 4)), 1)
    exponents = reference_spectrum("rnn_relu", linear(matrix), np.ones((7, 1)))
    np.testing.assert_allclose(exponents, np.log([0.5, 3.0, 0.01, 2.0]), rtol=0, atol=1e-14)


def test_units_at_rest_are_dead_directions() -> None:
    matrix = np.array([[1.0, 2.0, 3.0], [2.0, 1.0, 5.0], [1.0, 1.0, 1.0]])
    parameters = {**linear(matrix), "bias_ih": np.array([0.0, -1e9, 0.0])}
    exponents = reference_spectrum("rnn_relu", parameters, np.ones((1, 1)))
    first = math.log(2) / 2  # columns (1, 1) and (2, 1) of the two units that are active: volume 1
    np.testing.assert_allclose(exponents[:2], [first, -first], rtol=0, atol=1e-14)
    assert np.isneginf(exponents[2])
    all_dead = reference_spectrum("rnn_relu", {**parameters, "bias_ih": np.full(3, -1e9)}, np.ones((4, 1)))
    assert np.isneginf(all_dead).all()


def test_equal_columns_are_a_dead_direction() -> None:
    """No unit is at rest and no entry is zero: Gram-Schmidt has to see that nothing but rounding is left."""
    matrix = np.full((3, 3), 0.1)
    matrix[:, 2] = [0.1, 0.2, 0.3]
    exponents = reference_spectrum("rnn_relu", linear(matrix), np.ones((1, 1)))
    assert exponents[0] == pytest.approx(math.log(0.1 * math.sqrt(3)), abs=1e-14)
    assert np.isneginf(exponents[1])
    assert exponents[2] == pytest.approx(math.log(0.1 * math.sqrt(2)), abs=1e-14)


@pytest.mark.parametrize(
    ("a", "expected"),
    [
        ((3000.0, 5000.0), (math.log(4) - 6000, math.log(8) - 10000)),
        ((5000.0, -3000.0), (math.log(12) - 6000, math.log(8 / 3) - 10000)),
    ],
)
def test_deep_saturation(a: tuple[float, float], expected: tuple[float, float]) -> None:
    """Slopes 4 e^-2|a| before the matrix (1 2; 3 4): one row decides the first direction, -2 is the determinant."""
    parameters = {
        "weight_ih": np.array(a)[:, None],
        "weight_hh": np.array([[1.0, 2.0], [3.0, 4.0]]),
        "bias_ih": np.zeros(2),
        "bias_hh": np.zeros(2),
    }
    exponents = reference_spectrum("rnn", parameters, np.ones((1, 1)))
    np.testing.assert_allclose(exponents, expected, rtol=1e-15)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("jacobian", ["full", "hidden"])
def test_digits_found_are_enough(name: str, jacobian: Any) -> None:
    inputs = np.random.default_rng(1).standard_normal((4, FEATURES))
    parameters = drawn(name, gain=80.0)
    exponents = reference_spectrum(name, parameters, inputs, jacobian=jacobian)
    expected = reference_spectrum(name, parameters, inputs, jacobian=jacobian, digits=4000)
    np.testing.assert_allclose(exponents, expected, rtol=1e-12, atol=1e-12)


def test_more_digits_than_can_be_had_are_an_error() -> None:
    parameters = {**drawn("rnn"), "bias_ih": np.full(UNITS, 1e6)}
    with pytest.raises(ArithmeticError, match="this rnn needs more than 200000 digits"):
        reference_spectrum("rnn", parameters, np.ones((1, FEATURES)))


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("gain", [1.0, 6.0])
def test_jacobian_against_finite_differences(name: str, gain: float) -> None:
    """Central differences of the cell's own step: their error is that of a distance of 10^-20, squared."""
    equations = EQUATIONS[name]
    source = np.random.default_rng(2)
    with working_digits(DIGITS):
        p = numbers(equations, drawn(name, gain))
        x = to_numbers(source.standard_normal(FEATURES))
        state = to_numbers(source.uniform(-1, 1, equations.parts * UNITS))
        _, jacobian, _ = equations.step(p, x, state)
        distance = gmpy2.mpfr(10) ** -20
        for column in range(len(state)):
            shift = to_numbers(np.eye(len(state))[column]) * distance
            ahead, behind = (equations.step(p, x, state + sign * shift)[0] for sign in (1, -1))
            difference = (ahead - behind) / (2 * distance)
            assert max(abs(difference - jacobian[:, column])) < 1e-33


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("jacobian", ["full", "hidden"])
def test_sum_rule(name: str, jacobian: Any) -> None:
    """The exponents add up to the mean of log |det J|."""
    equations = EQUATIONS[name]
    inputs = np.random.default_rng(3).standard_normal((5, FEATURES))
    parameters = drawn(name, gain=15.0)
    if name == "rnn_relu":
        parameters["bias_ih"] = np.full(UNITS, 1e9)  # no unit at rest
        parameters["weight_hh"] = np.abs(parameters["weight_hh"])
    size = UNITS * (1 if jacobian == "hidden" else equations.parts)
    with working_digits(600), mpmath.workdps(600):
        p = numbers(equations, parameters)
        state, total = to_numbers(np.zeros(equations.parts * UNITS)), mpmath.mpf(0)
        for x in to_numbers(inputs):
            state, matrix, _ = equations.step(p, x, state)
            rows = [[mpmath.mpf(str(number)) for number in row] for row in matrix[:size, :size]]
            total += mpmath.log(abs(mpmath.det(mpmath.matrix(rows))))
        expected = float(total / len(inputs))
    exponents = reference_spectrum(name, parameters, inputs, jacobian=jacobian)
    assert len(exponents) == size
    assert exponents.sum() == pytest.approx(expected, rel=1e-13, abs=1e-13)


@pytest.mark.parametrize("name", ["rnn", "rnn_relu", "gru", "lstm"])
def test_step_equals_torch(name: str) -> None:
    parameters = drawn(name)
    kind = {"gru": nn.GRUCell, "lstm": nn.LSTMCell}.get(name, nn.RNNCell)
    options: dict[str, Any] = {"nonlinearity": "relu"} if name == "rnn_relu" else {}
    cell = kind(FEATURES, UNITS, dtype=torch.float64, **options)
    cell.load_state_dict({key: torch.from_numpy(value) for key, value in parameters.items()})
    source = np.random.default_rng(4)
    x, state = source.standard_normal(FEATURES), source.standard_normal(EQUATIONS[name].parts * UNITS)
    parts = [torch.from_numpy(part)[None] for part in np.split(state, EQUATIONS[name].parts)]
    with torch.no_grad():
        expected = cell(torch.from_numpy(x)[None], tuple(parts) if name == "lstm" else parts[0])
    expected = torch.cat(expected, dim=1) if name == "lstm" else expected
    with working_digits(DIGITS):
        new_state, _, _ = EQUATIONS[name].step(numbers(EQUATIONS[name], parameters), to_numbers(x), to_numbers(state))
    np.testing.assert_allclose(new_state.astype(float), expected[0].numpy(), rtol=1e-14, atol=1e-15)


def test_initial_state_constants_and_digits() -> None:
    """One unit, whose exponent is the mean of its steps' logarithms."""
    unit = {"V": np.array([[0.3]]), "C": np.array([[0.9]]), "b": np.array([0.2])}
    constants = {"step": 0.5, "gamma": 2.0}
    h, logarithms = 0.7, []
    inputs = np.array([[1.0], [-2.0], [0.5]])
    for x in inputs[:, 0]:
        a = -2.0 * h + 0.3 * x + 0.2
        logarithms.append(math.log(abs(1 - 0.5 * 2.0 / math.cosh(a) ** 2)))
        h += 0.5 * math.tanh(a)
    for digits in (None, 30):
        exponents = reference_spectrum(
            "asrnn", unit, inputs, constants=constants, initial_state=np.array([0.7]), digits=digits
        )
        assert exponents[0] == pytest.approx(np.mean(logarithms), abs=1e-14)
