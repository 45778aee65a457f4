"""What a compiled sequence is made of: work on the rows of a tile, by the names of the arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from aelle_core.training.compiler.emit.pointwise import Pointwise
from aelle_core.training.compiler.schedule import Location


@dataclass(frozen=True)
class Multiply:
    """result = left right, for every row of the tile; zero at the first step where the left side is `at_rest`."""

    left: Location
    right: str
    result: str
    sizes: tuple[int, int]
    at_rest: bool = False

    @property
    def names(self) -> list[str]:
        return [self.left.array, self.right, self.result]


@dataclass(frozen=True)
class Gradient:
    """result += left^T right over the tile's rows; nothing at the first step where the left side is `at_rest`."""

    left: Location
    right: Location
    result: str
    sizes: tuple[int, int]
    at_rest: bool = False

    @property
    def names(self) -> list[str]:
        return [self.left.array, self.right.array, self.result]


@dataclass(frozen=True)
class LookUp:
    """Each row of `result`, `width` wide, becomes the row of `table` that its code names: what a one-hot vector times
    the table is."""

    codes: str
    table: str
    result: str
    width: int

    @property
    def names(self) -> list[str]:
        return [self.codes, self.table, self.result]


@dataclass(frozen=True)
class ScatterAdd:
    """Each row of `source` is added to the row of `result` that its code names: the gradient of a look-up."""

    codes: str
    source: str
    result: str
    sizes: tuple[int, int]

    @property
    def names(self) -> list[str]:
        return [self.codes, self.source, self.result]


@dataclass(frozen=True)
class Comparison:
    """Of outputs, `outputs` side by side, without their `bias`: the rows' losses against `targets` are added to
    `total`, and the outputs become the adjoints of what was added. Each row counts its `share`."""

    scores: str
    bias: str
    targets: str
    share: str
    total: str
    outputs: int
    given: ClassVar[str] = "targets"  # the array that targets are given in

    @property
    def names(self) -> list[str]:
        return [self.scores, self.bias, self.targets, self.share, self.total]


@dataclass(frozen=True)
class CrossEntropy(Comparison):
    """The softmax's cross-entropy in nats of class scores; targets are int32."""

    given: ClassVar[str] = "classes"


@dataclass(frozen=True)
class SquaredError(Comparison):
    """The squared error, averaged over the outputs; targets are float32."""


COMPARISONS: Mapping[str, type[Comparison]] = {"cross_entropy": CrossEntropy, "squared_error": SquaredError}
"""What compares outputs with targets in compiled code, by the name of the loss."""


@dataclass(frozen=True)
class Cut:
    """The arrays, `width` wide, become zero at steps where `marks` is not."""

    marks: str
    arrays: tuple[str, ...]
    width: int

    @property
    def names(self) -> list[str]:
        return [self.marks, *self.arrays]


@dataclass(frozen=True)
class Fill:
    """`target`, `width` wide, becomes zero before the first step."""

    target: str
    width: int

    @property
    def names(self) -> list[str]:
        return [self.target]


@dataclass(frozen=True)
class Gather:
    """Before the first step `target` becomes a copy of the array `source` at all steps; both are `width` wide."""

    target: str
    source: str
    width: int

    @property
    def names(self) -> list[str]:
        return [self.target, self.source]


Start = Fill | Gather
Operation = Multiply | Gradient | LookUp | ScatterAdd | Comparison | Cut | Pointwise
