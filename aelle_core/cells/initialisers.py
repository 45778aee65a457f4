"""Families that initial weights are drawn from, of one variance: the family changes, and not the scale."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.foundation.errors import UserError
from aelle_core.foundation.registry import Registry


class Initialiser(ABC):
    """Draws the parameters of a network: entries of mean 0 and variance scale^2 / 3, that of U(-scale, scale)."""

    name: ClassVar[str]

    @staticmethod
    @abstractmethod
    def draw(shape: tuple[int, ...], scale: float, units: int, generator: torch.Generator) -> Tensor:
        """Draw one parameter, float32, of any shape, for a cell of `units` units."""


initialisers: Registry[Initialiser] = Registry("initialiser", "aelle_core.cells")


@initialisers.register("uniform")
class Uniform(Initialiser):
    """Every entry U(-scale, scale): the paper's, section 4.2."""

    @staticmethod
    def draw(shape: tuple[int, ...], scale: float, units: int, generator: torch.Generator) -> Tensor:
        return torch.empty(shape).uniform_(-scale, scale, generator=generator)


@initialisers.register("normal")
class Normal(Initialiser):
    """Every entry N(0, scale^2 / 3)."""

    @staticmethod
    def draw(shape: tuple[int, ...], scale: float, units: int, generator: torch.Generator) -> Tensor:
        return torch.empty(shape).normal_(0, scale / 3**0.5, generator=generator)


@initialisers.register("author")
class Author(Initialiser):
    """As the cell's authors draw it, whatever the scale: Cell.author_parameters."""

    @staticmethod
    def draw(shape: tuple[int, ...], scale: float, units: int, generator: torch.Generator) -> Tensor:
        raise UserError("initialiser='author' draws whole networks: expected Cell.initialise")


@initialisers.register("orthogonal")
class Orthogonal(Initialiser):
    """Every (units, m) block of a matrix, one for each gate, is a random matrix with orthonormal rows or columns
    (Haar; Saxe, McClelland, Ganguli 2014) times scale sqrt(max(units, m) / 3). Vectors are uniform."""

    @staticmethod
    def draw(shape: tuple[int, ...], scale: float, units: int, generator: torch.Generator) -> Tensor:
        if len(shape) < 2:
            return Uniform.draw(shape, scale, units, generator)
        drawn = torch.empty(shape)
        for block in drawn.split(units):
            gain = scale * (max(block.shape) / 3) ** 0.5
            torch.nn.init.orthogonal_(block, gain, generator=generator)
        return drawn


@initialisers.register("uniform_zero_bias")
class UniformZeroBias(Initialiser):
    """Every entry of a matrix U(-scale, scale), every vector (a bias) zero: Vogt et al. 2024, section 4.3."""

    @staticmethod
    def draw(shape: tuple[int, ...], scale: float, units: int, generator: torch.Generator) -> Tensor:
        if len(shape) < 2:
            return torch.zeros(shape)
        return Uniform.draw(shape, scale, units, generator)
