"""Errors against arithmetic of many digits (MPFR, tests/helpers/references.py)."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import torch
from torch import Tensor

from aelle_core.cells import Network, dense_jacobian, to_torch
from aelle_core.lyapunov import LyapunovSpectrum, lyapunov_spectrum
from aelle_core.lyapunov.result import Precision
from benchmarks.peers import published
from benchmarks.peers.autodiff import autodiff_spectrum
from benchmarks.peers.covariant import clvlib_spectrum
from benchmarks.shared.tables import Table
from benchmarks.spectrum.cases import Case, Kind, draw_inputs, draw_network
from tests.helpers.references import arrays_of, reference_spectrum

STEPS = 3
DIGITS = 60  # enough where nothing saturates; saturated networks take what the reference asks for
SATURATED = {"gain": 100.0, "units": 12, "features": 4, "scale": 0.5, "steps": 6}


@dataclass(frozen=True)
class Question:
    """A network whose spectrum on one sequence is wanted in many digits."""

    case: Case
    saturated: bool = False

    def network(self) -> Network:
        if not self.saturated:
            return draw_network(self.case.cell, self.case.units)
        gain, scale = SATURATED["gain"], SATURATED["scale"]
        return draw_network(
            self.case.cell, self.case.units, scale=scale, gain=gain, features=int(SATURATED["features"])
        )

    def inputs(self) -> Tensor:
        if not self.saturated:
            return draw_inputs(1, STEPS)
        return draw_inputs(1, int(SATURATED["steps"]), int(SATURATED["features"]))

    def reference(self) -> np.ndarray:
        """The exponents in descending order."""
        exponents = reference_spectrum(
            self.case.cell,
            arrays_of(self.network()),
            self.inputs()[0].numpy(),
            jacobian=self.case.kind,
            digits=None if self.saturated else DIGITS,
        )
        return np.sort(exponents)[::-1]


def references(questions: Sequence[Question]) -> dict[Question, np.ndarray]:
    """The answers, on two processes; the longest first."""
    order = sorted(questions, key=lambda question: -question.case.size)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        return dict(zip(order, pool.map(Question.reference, order), strict=True))


def questions_up_to(cases: Sequence[Case], size: int) -> list[Question]:
    """Those whose reference takes seconds: in tangent spaces of up to `size` dimensions."""
    return [Question(case) for case in cases if case.size <= size]


def saturated_questions() -> list[Question]:
    units = int(SATURATED["units"])
    return [Question(Case(cell, units, "hidden" if cell == "lstm" else "full"), True) for cell in published.CELLS]


def errors(question: Question, truth: np.ndarray) -> dict[str, float]:
    """Largest error of an exponent, nats per step, of every way that the case has."""
    case, network, inputs = question.case, question.network(), question.inputs()
    hidden = case.kind == "hidden"
    ways: dict[str, Callable[[], Tensor | np.ndarray]] = {
        "exact": lambda: lyapunov_spectrum(network, inputs, jacobian=case.kind, check=False).exponents,
        "fast": lambda: lyapunov_spectrum(network, inputs, jacobian=case.kind, check=False, precision="fast").exponents,
        "autodiff": lambda: autodiff_spectrum(network, inputs, hidden=hidden)[0],
    }
    if case.cell in published.CELLS and len(case.parts) == 1:
        layer = to_torch(network)
        ways["published"] = lambda: published.published_spectrum(layer, inputs, transposed=False)[0]
        ways["published, J^T"] = lambda: published.published_spectrum(layer, inputs)[0]
        ways["tightened"] = lambda: published.published_spectrum(layer, inputs, tightened=True, transposed=False)[0]
    if case.cell == "rnn":
        ways["clvlib"] = lambda: clvlib_spectrum(network, inputs)[0]
    return {name: _largest(_descending(way()), truth) for name, way in ways.items()}


def saturated_table(answers: dict[Question, np.ndarray]) -> Table:
    """What deep saturation does to everybody."""
    units, steps = int(SATURATED["units"]), int(SATURATED["steps"])
    table = Table(
        "Saturated networks",
        f"Gain 100: N = {units}, {steps} steps, weights U(-0.5, 0.5) times 100, {SATURATED['features']:.0f} features, "
        "one sequence. In each field: the largest error of a finite exponent, nats per step, and in how many of the "
        f"{units} a -∞ stands in the wrong place. *Published* is moved by J here, so that the order of the product is "
        "not counted as an error. *Exact derivatives, plain QR* is our Jacobian given to torch.linalg.qr in float64 "
        "without an order of rows. *Resolved* are the exponents that our check vouches for; *extended* is our "
        "precision='extended', all exponents, with its time over that of exact (both with the check).",
        (
            "cell",
            "exponents from … to",
            "published",
            "exact derivatives, plain QR",
            "ours, all",
            "ours, resolved",
            "ours, extended",
        ),
    )
    for question, truth in answers.items():
        if not question.saturated:
            continue
        network, inputs, kind = question.network(), question.inputs(), question.case.kind
        exact, exact_seconds = _timed(network, inputs, kind, "exact")
        extended, extended_seconds = _timed(network, inputs, kind, "extended")
        resolved = np.ones(0) if exact.resolved is None else exact.resolved
        by_published = published.published_spectrum(to_torch(network), inputs, transposed=False)[0]
        by_plain = plain_qr_spectrum(network, inputs, hidden=kind == "hidden")[0]
        kept = _describe(exact.exponents[resolved], truth[resolved]) if resolved.any() else "none"
        table.rows.append(
            (
                question.case.cell,
                f"{truth[0]:.1f} … {truth[np.isfinite(truth)][-1]:.0f}",
                _describe(_descending(by_published), truth),
                _describe(_descending(by_plain), truth),
                _describe(exact.exponents, truth),
                f"{kept} ({int(resolved.sum())} of {exact.size})",
                f"{_describe(extended.exponents, truth)} ({extended_seconds / exact_seconds:,.0f}x)",
            )
        )
    return table


def _timed(network: Network, inputs: Tensor, kind: Kind, precision: Precision) -> tuple[LyapunovSpectrum, float]:
    """The spectrum, and the seconds of a second run."""
    for _ in range(2):
        started = time.perf_counter()
        spectrum = lyapunov_spectrum(network, inputs, jacobian=kind, precision=precision)
        taken = time.perf_counter() - started
    return spectrum, taken


@torch.no_grad()
def plain_qr_spectrum(network: Network, inputs: Tensor, *, hidden: bool) -> Tensor:
    """(batch, size) exponents by the cell's own Jacobian, whose derivatives keep their digits, J Q, and
    torch.linalg.qr as it is."""
    cell = network.cell
    weights = network.prepare(inputs.dtype)
    batch, steps, _ = inputs.shape
    drive = cell.drive(weights, inputs.flatten(0, 1)[None]).unflatten(1, (batch, steps))
    state = cell.accompany(cell.initial_state(1, batch, inputs))
    parts = cell.parts[:1] if hidden else cell.parts
    size = cell.units * len(parts)
    Q = torch.eye(size, dtype=inputs.dtype).expand(batch, -1, -1)
    total = inputs.new_zeros(batch, size)
    for step in range(steps):
        J = dense_jacobian(cell.linearise(weights, drive[:, :, step], state)[1], parts)[0]
        state = cell.step_accompanied(weights, drive[:, :, step], state)
        Q, R = torch.linalg.qr(J @ Q)
        total += R.diagonal(dim1=-2, dim2=-1).abs().log()
    return total / steps


def _descending(exponents: Tensor | np.ndarray) -> np.ndarray:
    """NaN, which a zero sign makes of everything after it, counts as -inf."""
    array = np.nan_to_num(np.asarray(exponents), nan=-np.inf, neginf=-np.inf)
    return np.sort(array)[::-1]


def _apart(computed: np.ndarray, truth: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.where(computed == truth, 0.0, np.abs(computed - truth))


def _largest(computed: np.ndarray, truth: np.ndarray) -> float:
    return float(_apart(computed, truth).max(initial=0.0))


def _describe(computed: np.ndarray, truth: np.ndarray) -> str:
    apart = _apart(computed, truth)
    finite = np.isfinite(apart)
    wrong = int((~finite).sum())
    largest = float(apart[finite].max(initial=0.0))
    size = f"{largest:.1f}" if largest >= 0.1 else f"{largest:.0e}"
    return f"{size}, {wrong} wrong -∞" if wrong else size
