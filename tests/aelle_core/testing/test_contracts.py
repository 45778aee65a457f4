"""The contracts find what is broken, and a stranger's cell that the compiler does not know keeps them."""

from collections.abc import Mapping
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from aelle_core.cells import Blocks, State, cells
from aelle_core.cells.asrnn import AntisymmetricRNN
from aelle_core.cells.gru import GRU
from aelle_core.cells.rnn import TanhRNN
from aelle_core.tasks import Splits
from aelle_core.tasks.digits import Digits
from aelle_core.testing import ContractError, check_cell, check_task
from aelle_core.testing.cell_contract import CELL_CHECKS
from aelle_core.training import available_ways

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def arctangent() -> type:
    """The plug-in's class, without its entry in the registry."""
    before = dict(cells._entries)
    try:
        from tests.helpers.arctangent import Arctangent
    finally:
        cells._entries.clear()
        cells._entries.update(before)
    return Arctangent


def test_a_cell_that_cannot_be_compiled_keeps_the_contract(arctangent: type) -> None:
    assert available_ways(arctangent(4, 5), CPU) == ["packed"]
    check_cell(arctangent)


def test_a_registered_cell_is_named() -> None:
    check_cell("rnn")


class WrongSlope(TanhRNN):
    """Its Jacobian forgets that tanh saturates."""

    def slope(self, a: Tensor) -> Tensor:
        return torch.ones_like(a)


class OtherActivations(AntisymmetricRNN):
    """Spectra would follow another state than training does."""

    def step_activated(self, weights: Mapping[str, Tensor], activations: Mapping[str, Tensor], state: State) -> State:
        return {"h": 1.01 * super().step_activated(weights, activations, state)["h"]}


class Mixed(TanhRNN):
    """Each network uses the weights of all."""

    def _pre_activation(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> Tensor:
        return super()._pre_activation(self._mixed(weights), drive, state)

    def linearise_driven(
        self, weights: Mapping[str, Tensor], activations: Mapping[str, Tensor], state: State
    ) -> tuple[Blocks, dict[str, Tensor]]:
        return super().linearise_driven(self._mixed(weights), activations, state)

    @staticmethod
    def _mixed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {**weights, "U": weights["U"].mean(dim=0, keepdim=True).expand_as(weights["U"])}


class Deaf(TanhRNN):
    """It declares noise and does not use it."""

    noise_channels: ClassVar[int] = 1


class Unseeded(GRU):
    """Its weights do not follow the seed."""

    def initialise(self, generator: torch.Generator, scale: float, initialiser: str = "uniform") -> dict[str, Tensor]:
        return {name: scale * torch.randn(shape) for name, shape in self.parameter_shapes().items()}


class Leaky(TanhRNN):
    """Its derivative jumps from 1/8 to 1, and it does not say where."""

    def phi(self, a: Tensor) -> Tensor:
        return torch.nn.functional.leaky_relu(a, 0.125)

    def slope(self, a: Tensor) -> Tensor:
        return torch.where(a > 0, 1.0, 0.125).to(a.dtype)


class LeakyElsewhere(Leaky):
    """It names other places than those at which its derivative jumps."""

    kinked: ClassVar[bool] = True

    def switching_functions(
        self, weights: Mapping[str, Tensor], activations: Mapping[str, Tensor], state: State
    ) -> Tensor:
        return activations["a"] - 1


class LeakyHere(Leaky):
    def switching_functions(
        self, weights: Mapping[str, Tensor], activations: Mapping[str, Tensor], state: State
    ) -> Tensor:
        return activations["a"]


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (Leaky, "a derivative jumps: expected kinked = True, and switching_functions"),
        (LeakyElsewhere, "a derivative jumps where no switching function changes its sign"),
        (WrongSlope, "the Jacobian of network 0 is not step's"),
        (OtherActivations, "step_activated gives another state than step"),
        (Mixed, "network 0 steps otherwise in a pack than alone"),
        (Deaf, "expected step to use its noise"),
        (Unseeded, "expected the same draw from the same seed"),
        (Digits, "expected a subclass of Cell"),
    ],
)
def test_a_broken_cell_is_named(kind: type, sentence: str) -> None:
    with pytest.raises(ContractError, match=sentence):
        check_cell(kind)


def test_a_cell_that_tells_where_its_derivative_jumps_keeps_the_contract() -> None:
    CELL_CHECKS["switching functions tell where derivatives jump"](LeakyHere(4, 5))


def test_a_jacobian_that_spectra_would_pass_by_is_refused() -> None:
    with pytest.raises(TypeError, match="Own defines linearise: expected activations"):

        class Own(GRU):
            def linearise(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> tuple[State, Blocks]:
                return super().linearise(weights, drive, state)


def test_a_task_of_ours_keeps_the_contract() -> None:
    check_task("digits", {"pixels": 4})


class Leaking(Digits):
    """Its test examples are among those it is trained on."""

    def load(self) -> Splits:
        splits = super().load()
        return Splits(splits.training, splits.validation, splits.training)


def test_a_broken_task_is_named() -> None:
    with pytest.raises(ContractError, match="a sequence is in both training and test"):
        check_task(Leaking)
    with pytest.raises(ContractError, match="expected a subclass of Task"):
        check_task(TanhRNN)  # type: ignore[arg-type]
