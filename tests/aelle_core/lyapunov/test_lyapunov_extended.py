"""Tangents of many digits: where float64 is enough they agree with it, and they keep its conventions."""

import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from aelle_core import LyapunovSpectrum, lyapunov_spectrum
from aelle_core.cells import Network, get_cell
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.random_streams import generator
from aelle_core.lyapunov import pack_spectra
from aelle_core.lyapunov.kernels.extended import ExtendedTangents
from aelle_core.lyapunov.kernels.jacobians import BlockJacobians
from aelle_core.lyapunov.kernels.tangents import Frame, TorchTangents

LIKE = torch.empty(0, dtype=torch.float64)


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator(0, "test"), dtype=torch.float64)


def lstms(gains: list[float]) -> Network:
    """A pack of LSTMs of 6 units with these gains on all matrices."""
    cell = get_cell("lstm", 4, 6)
    drawn = [cell.initialise(generator(seed, "weights"), 0.5) for seed in range(len(gains))]
    parameters = {
        name: torch.stack(
            [
                drawn_parameters[name].double() * (gain if drawn_parameters[name].dim() > 1 else 1)
                for drawn_parameters, gain in zip(drawn, gains, strict=True)
            ]
        )
        for name in drawn[0]
    }
    return Network(cell, parameters)


def alone(pack: Network, index: int) -> Network:
    return Network(pack.cell, {name: value[index] for name, value in pack.parameters.items()})


@pytest.mark.parametrize("k", [1, 3, 7])
def test_ordinary_jacobians_give_what_float64_gives(k: int) -> None:
    blocks = BlockJacobians.of_dense(random(2, 5, 7, 7))
    frame = Frame(LIKE, 2, 7, k)
    logarithms = ExtendedTangents(frame, 256).advance(blocks)[0]
    torch.testing.assert_close(logarithms, TorchTangents(frame).advance(blocks)[0], rtol=0, atol=1e-11)


def test_tangents_go_on_from_stretch_to_stretch() -> None:
    jacobians = random(1, 6, 5, 5)
    tangents = ExtendedTangents(Frame(LIKE, 1, 5, 5), 256)
    pieces = [tangents.advance(BlockJacobians.of_dense(part))[0] for part in jacobians.split(2, dim=1)]
    whole = ExtendedTangents(Frame(LIKE, 1, 5, 5), 256).advance(BlockJacobians.of_dense(jacobians))[0]
    assert torch.equal(torch.cat(pieces, dim=1), whole)


def test_a_direction_that_dies_leaves_the_others_and_keeps_its_place() -> None:
    matrices = random(1, 5, 9, 9)
    matrices[0, 1, :, 4] = 0
    matrices[0, 0] = torch.eye(9)
    blocks, frame = BlockJacobians.of_dense(matrices.mT), Frame(LIKE, 1, 9, 9)
    logarithms, expected = (
        kernel.advance(blocks)[0] for kernel in (ExtendedTangents(frame, 256), TorchTangents(frame))
    )
    assert logarithms[0, 1].isneginf().nonzero().flatten().tolist() == [4]
    others = [0, 1, 2, 3, 5, 6, 7, 8]
    torch.testing.assert_close(logarithms[..., others], expected[..., others], rtol=0, atol=1e-10)


def test_nothing_but_zeros() -> None:
    logarithms = ExtendedTangents(Frame(LIKE, 1, 4, 4), 256).advance(
        BlockJacobians.of_dense(torch.zeros_like(random(1, 2, 4, 4)))
    )[0]
    assert logarithms.isneginf().all()


def test_numbers_that_float64_cannot_hold() -> None:
    """J = T D with D = diag(1, 1e-250, 1e-300): in two steps lengths shrink below what float64 holds."""
    turn = torch.linalg.qr(random(3, 3))[0]
    scales = torch.tensor([1.0, 1e-250, 1e-300], dtype=torch.float64)
    blocks = BlockJacobians.of_dense((turn * scales).expand(1, 3, 3, 3).mT)
    logarithms = ExtendedTangents(Frame(LIKE, 1, 3, 3), 8192).advance(blocks)[0]
    expected = torch.full((1, 3), -550 * np.log(10.0), dtype=torch.float64)  # log |det J| of every step
    torch.testing.assert_close(logarithms.sum(dim=-1), expected, rtol=1e-12, atol=0)


def test_only_networks_that_need_it_are_followed_again() -> None:
    inputs, pack = random(2, 6, 4), lstms([0.5, 30.0, 1.0])
    pack.parameters["weight_hh"][2] = float("nan")
    calm, saturated, broken = pack_spectra(pack, inputs, precision="extended", check=True)
    assert (calm.precision, saturated.precision, broken.status) == ("exact", "extended", "non-finite")
    assert saturated.resolved is not None
    assert saturated.resolved.all()
    again = lyapunov_spectrum(alone(pack, 1), inputs, precision="extended")
    np.testing.assert_allclose(saturated.exponents, again.exponents, rtol=0, atol=1e-9)
    unchecked = lyapunov_spectrum(alone(pack, 1), inputs, precision="extended", check=False)
    assert unchecked.resolved is None
    np.testing.assert_allclose(unchecked.exponents, again.exponents, rtol=0, atol=1e-9)


def both(system: Any, *inputs: Tensor, **asked: Any) -> list[LyapunovSpectrum]:
    return [lyapunov_spectrum(system, *inputs, precision=kind, check=False, **asked) for kind in ("extended", "exact")]  # type: ignore[arg-type]


def test_warm_up_leading_exponents_and_running_ones() -> None:
    spectrum, expected = both(alone(lstms([2.0]), 0), random(2, 9, 4), warmup=3, k=4, running=2)
    np.testing.assert_allclose(spectrum.exponents, expected.exponents, rtol=0, atol=1e-10)
    assert spectrum.running is not None
    assert expected.running is not None
    np.testing.assert_allclose(spectrum.running, expected.running, rtol=0, atol=1e-10)


def test_step_functions_and_given_jacobians() -> None:
    def henon(_: object, state: Tensor) -> Tensor:
        x, y = state.unbind(-1)
        return torch.stack([1 - 1.4 * x**2 + y, 0.3 * x], dim=-1)

    for spectrum, expected in (
        both(henon, steps=60, initial_state=torch.zeros(1, 2)),
        both(henon, steps=60, initial_state=torch.zeros(1, 2), k=1),
        both(random(1, 4, 5, 5)),
    ):
        np.testing.assert_allclose(spectrum.exponents, expected.exponents, rtol=0, atol=1e-10)


def test_without_its_library_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gmpy2", None)
    with pytest.raises(UserError, match="needs the package gmpy2"):
        lyapunov_spectrum(random(1, 4, 5, 5), precision="extended", check=False)
