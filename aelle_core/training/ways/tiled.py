"""The cell's step taken apart as in `analytic`, and whole sequences compiled, products included."""

from typing import TYPE_CHECKING, Any

from aelle_core.training.ways.analytic import Analytic
from aelle_core.training.ways.base import ways

if TYPE_CHECKING:
    from aelle_core.training.fusion.function import SequenceFunction
    from aelle_core.training.fusion.recurrence import Recurrence


@ways.register("tiled")
class Tiled(Analytic):
    """Some rows of one network go through all steps while they lie in the cache, forward, and then backward, where the
    gradients of the weights are added up step by step; each thread has networks of its own."""

    @staticmethod
    def _make(recurrence: "Recurrence", units: int) -> "SequenceFunction[Any]":
        from aelle_core.training.fusion.tiles import Tiled

        return Tiled(recurrence, units)
