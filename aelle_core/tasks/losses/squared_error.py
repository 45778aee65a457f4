"""Mean squared error of real numbers."""

from typing import ClassVar

from torch import Tensor

from aelle_core.tasks.losses.base import Loss, losses


@losses.register("squared_error")
class SquaredError(Loss):
    """(output - target)^2, averaged over the outputs of a row, in the squared unit of the targets."""

    label: ClassVar[str] = "mean squared error"
    classes: ClassVar[bool] = False

    @staticmethod
    def rows(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).square().mean(dim=-1)
