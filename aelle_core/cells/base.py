"""What a cell is: state parts, parameters, a step over a pack of networks, and the step's Jacobian."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.cells.blocks import Blocks
from aelle_core.cells.initialisers import initialisers
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.ranges import Range
from aelle_core.foundation.registry import Registry
from aelle_core.foundation.whole_numbers import check_whole

State = dict[str, Tensor]
"""Part name -> (networks, batch, units)."""


class Cell(ABC):
    """A recurrent cell of `units` units on inputs of `input_size` features, written for packs.

    Every tensor has the network as its first dimension: parameters (networks, ...), inputs (networks, batch,
    time, features), states (networks, batch, units). One network is a pack of one.

    A subclass names its state `parts` (the first is the one that is read out and that the hidden-state Jacobian
    is about), its `defaults` for the constants in its equation, and the `search` ranges its studies draw from,
    and defines `parameter_shapes`, `prepare`, `drive`, `step` and `linearise`.
    """

    name: ClassVar[str]
    parts: ClassVar[tuple[str, ...]] = ("h",)
    defaults: ClassVar[Mapping[str, float]] = {}
    search: ClassVar[Mapping[str, Range]] = {"scale": Range(0.02, 1.0)}
    noise_channels: ClassVar[int] = 0
    companions: ClassVar[tuple[str, ...]] = ()
    dense_blocks: ClassVar[bool] = False  # whether a block of its Jacobian has a dense summand: memory is to be counted
    exact_constants: ClassVar[tuple[str, ...]] = ()  # those that no rounding of products or differences touches
    fixed: ClassVar[bool] = False  # whether its weights stay as they were drawn: only the readout is trained
    exact_zeros: ClassVar[bool] = False  # whether a zero derivative is the truth (relu), not an underflow
    kinked: ClassVar[bool] = False  # whether a derivative of its step jumps anywhere
    drive_weights: ClassVar[str] = "W"  # the prepared weights by which `drive` multiplies inputs
    input_weights: ClassVar[str | None] = None  # the parameter that inputs are multiplied by; None: no gain on it
    forget_gate: ClassVar[tuple[str, int] | None] = None  # the bias of the gate that keeps the state, and its block

    def __init__(self, input_size: int, units: int) -> None:
        for label, value in (("input_size", input_size), ("units", units)):
            check_whole(label, value, 1)
        self.input_size = input_size
        self.units = units

    def __repr__(self) -> str:
        return f"{type(self).__name__}(input_size={self.input_size}, units={self.units})"

    @property
    def state_size(self) -> int:
        """Dimensions of the whole state: units times the number of parts."""
        return self.units * len(self.parts)

    @abstractmethod
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every trained parameter of one network."""

    @abstractmethod
    def prepare(self, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what does not change within a sequence, computed once: parameters (networks, ...) and the constants of
        the equation (networks, 1, 1) -> the weights that `drive`, `step` and `linearise` take."""

    @abstractmethod
    def drive(self, weights: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        """Return the inputs' share of every pre-activation, for whole sequences at once:
        (networks, rows, features) -> (networks, rows, gates * units)."""

    @abstractmethod
    def step(self, weights: Mapping[str, Tensor], drive: Tensor, state: State, noise: Tensor | None = None) -> State:
        """One time step: drive (networks, batch, gates * units) and the old state -> the new state. `noise`,
        (networks, batch, noise_channels * units) of standard normals, is given in training only."""

    @abstractmethod
    def linearise(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> tuple[State, Blocks]:
        """Return the new state, (networks, batch, units) each part, and the exact Jacobian d new / d old of the step
        without noise, in blocks; its derivatives keep their relative accuracy in saturation."""

    def accompany(self, state: State) -> State:
        """Return the state with its `companions`, (networks, batch, units) each: numbers that follow from the state but
        keep digits of it that saturation rounds away, such as 1 - h. Spectra carry them along."""
        return state

    def step_accompanied(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> State:
        """Advance the state and its companions, (networks, batch, units) each, by `step` without noise. `linearise`
        uses companions where they are given."""
        return self.step(weights, drive, state)

    def drive_slopes(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> dict[str, Tensor]:
        """Return d new part / d drive, gate by gate: part -> (networks, batch, gates, units).

        Only cells that are stacked in layers need it; the others raise UserError.
        """
        raise UserError(f"cell {self.name!r} cannot be stacked in layers: expected one of torch.nn's")

    def activations(self, weights: Mapping[str, Tensor], drive: Tensor, state: State) -> dict[str, Tensor]:
        """Return what a step and its Jacobian have in common, name -> (networks, batch, numbers): by default the drive
        alone. ActivatedCell says which cells give more."""
        return {"drive": drive}

    def step_activated(self, weights: Mapping[str, Tensor], activations: Mapping[str, Tensor], state: State) -> State:
        """Return what `step_accompanied` does, from the `activations` of the same state."""
        return self.step_accompanied(weights, activations["drive"], state)

    def linearise_activated(
        self, weights: Mapping[str, Tensor], activations: Mapping[str, Tensor], state: State
    ) -> Blocks:
        """Return the Jacobian that `linearise` does, from the `activations` of the same state."""
        return self.linearise(weights, activations["drive"], state)[1]

    def linearise_driven(
        self, weights: Mapping[str, Tensor], activations: Mapping[str, Tensor], state: State
    ) -> tuple[Blocks, dict[str, Tensor]]:
        """Return the Jacobian and what `drive_slopes` does, from the `activations` of the same state."""
        drive = activations["drive"]
        return self.linearise(weights, drive, state)[1], self.drive_slopes(weights, drive, state)

    @classmethod
    def knows_kinks(cls) -> bool:
        """Return whether its step has no kinks, places where a derivative jumps, or says where by
        `switching_functions`."""
        return not cls.kinked or cls.switching_functions is not Cell.switching_functions

    def switching_functions(
        self, weights: Mapping[str, Tensor], activations: Mapping[str, Tensor], state: State
    ) -> Tensor | None:
        """Return numbers (networks, batch, functions), continuous in the state, one of which changes its sign at every
        kink of the step, from the `activations` of the same state; None for a step without kinks.

        Spectra of many sequences are checked along a few of them, where the others stay clear of all kinks. Of a cell
        that is `kinked` and has no switching functions, every sequence is checked.
        """
        return None

    def initialise(self, generator: torch.Generator, scale: float, initialiser: str = "uniform") -> dict[str, Tensor]:
        """Parameters of one network, float32, drawn by the registered `initialiser`: every entry U(-scale, scale) by
        default (the paper's section 4.2); by "author" as the cell's authors draw them, whatever the scale. Raises
        UserError when there is none of that name, or the cell has no such draw."""
        if initialiser == "author":
            return self.author_parameters(generator)
        draw = initialisers[initialiser].draw
        return {name: draw(shape, scale, self.units, generator) for name, shape in self.parameter_shapes().items()}

    def shaped(
        self, parameters: Mapping[str, Tensor], input_gain: float = 1.0, forget_bias: float = 0.0
    ) -> dict[str, Tensor]:
        """Return initial parameters of one network with input weights times `input_gain`, and `forget_bias` added to
        the bias of the gate that keeps the state. Raises UserError where the cell has no such weights or gate.

        Small input weights keep units out of saturation; a bias of 1 to 5 lets gates keep the state from the start
        (Gers et al. 2000; Jozefowicz et al. 2015).
        """
        shaped = dict(parameters)
        if input_gain != 1:
            if self.input_weights is None:
                raise UserError(f"input_gain={input_gain:g}: cell {self.name!r} names no input weights; expected 1")
            shaped[self.input_weights] = input_gain * shaped[self.input_weights]
        if forget_bias != 0:
            if self.forget_gate is None:
                raise UserError(f"forget_bias={forget_bias:g}: cell {self.name!r} has no forget gate; expected 0")
            name, gate = self.forget_gate
            moved = shaped[name].clone()
            moved[gate * self.units : (gate + 1) * self.units] += forget_bias
            shaped[name] = moved
        return shaped

    def author_parameters(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the parameters of one network, float32, as the cell's authors draw them. Raises UserError where
        that is not known of this cell."""
        raise UserError(
            f"initialiser='author': cell {self.name!r} has none of its authors; expected another initialiser"
        )

    @classmethod
    def without(cls) -> set[str]:
        """Return which of input_gain and forget_bias its initial weights do not take."""
        taken = {"input_gain": cls.input_weights, "forget_bias": cls.forget_gate}
        return {name for name, weights in taken.items() if weights is None}

    @classmethod
    def has_author(cls) -> bool:
        """Return whether this cell knows its authors' draw."""
        return cls.author_parameters is not Cell.author_parameters

    def uniform_parameters(self, bound: float, generator: torch.Generator) -> dict[str, Tensor]:
        """Return parameters whose every entry is U(-bound, bound)."""
        shapes = self.parameter_shapes()
        return {name: torch.empty(shape).uniform_(-bound, bound, generator=generator) for name, shape in shapes.items()}

    def constants(self, values: Mapping[str, float] | None = None) -> dict[str, float]:
        """Return the equation's constants: the defaults, overruled by `values`; unknown names raise UserError."""
        values = values or {}
        if unknown := sorted(set(values) - set(self.defaults)):
            known = ", ".join(self.defaults) or "none"
            raise UserError(f"cell {self.name!r} has no constant {', '.join(unknown)}: it takes {known}")
        return {**self.defaults, **values}

    def initial_state(self, networks: int, batch: int, like: Tensor) -> State:
        """Return zeros, (networks, batch, units) for each part, with the dtype and device of `like`."""
        return {part: like.new_zeros(networks, batch, self.units) for part in self.parts}

    def split(self, state: Tensor) -> State:
        """(networks, batch, state_size) -> parts, in the order of `parts`."""
        return dict(zip(self.parts, state.split(self.units, dim=-1), strict=True))

    def join(self, state: State) -> Tensor:
        """Parts -> (networks, batch, state_size), in the order of `parts`."""
        return torch.cat([state[part] for part in self.parts], dim=-1)


@dataclass(frozen=True)
class Network:
    """A cell with its parameters: one network, or a pack of them when every tensor has a leading dimension more.

    `parameters` holds the names of `cell.parameter_shapes()`; others (a readout, say) are left alone.
    `constants` are the numbers in the cell's equation; missing ones take the cell's defaults.
    Raises UserError when a parameter is missing or has another shape.
    """

    cell: Cell
    parameters: Mapping[str, Tensor]
    constants: Mapping[str, float | Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, shape in self.cell.parameter_shapes().items():
            if name not in self.parameters:
                raise UserError(
                    f"parameter {name!r} of cell {self.cell.name!r} is missing: given {', '.join(self.parameters)}"
                )
            given = tuple(self.parameters[name].shape)
            if given != shape and given[1:] != shape:
                raise UserError(f"parameter {name!r} has shape {given}: {self.cell!r} expects {shape}")
            if not self.parameters[name].is_floating_point():
                raise UserError(
                    f"parameter {name!r} of cell {self.cell.name!r} has dtype {self.parameters[name].dtype}: "
                    "expected real floating-point numbers"
                )
        self.cell.constants(dict.fromkeys(self.constants, 0.0))

    @property
    def packed(self) -> bool:
        """Whether the parameters carry a leading network dimension."""
        name, shape = next(iter(self.cell.parameter_shapes().items()))
        return self.parameters[name].dim() == len(shape) + 1

    @property
    def networks(self) -> int:
        """How many networks it is."""
        return len(next(iter(self.parameters.values()))) if self.packed else 1

    def prepare(self, dtype: torch.dtype, device: torch.device | str | None = None) -> dict[str, Tensor]:
        """Return the pack's weights for `cell.step`, detached, in the given dtype and on the given device."""
        names = self.cell.parameter_shapes()
        tensors = {name: self.parameters[name].detach().to(device=device, dtype=dtype) for name in names}
        if not self.packed:
            tensors = {name: tensor[None] for name, tensor in tensors.items()}
        like = next(iter(tensors.values()))
        constants = {**self.cell.defaults, **self.constants}
        packed = {
            name: torch.as_tensor(value, dtype=dtype, device=like.device).reshape(-1, 1, 1).expand(like.shape[0], 1, 1)
            for name, value in constants.items()
        }
        return self.cell.prepare(tensors, packed)


cells: Registry[Cell] = Registry("cell", "aelle_core.cells")


def get_cell(name: str, input_size: int, units: int) -> Cell:
    """Return the registered cell `name` for inputs of `input_size` features and `units` units.

    Raises UserError, naming the known cells, when there is no such cell, and when a size is below 1.

    >>> get_cell("lstm", input_size=3, units=8).state_size  # h and c
    16
    """
    return cells[name](input_size, units)
