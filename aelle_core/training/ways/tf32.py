"""The cell's own step under autograd, with its products in TF32."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from aelle_core.cells import Cell
from aelle_core.training.ways.base import ways
from aelle_core.training.ways.packed import Packed


@ways.register("tf32")
class TF32(Packed):
    """Factors of all products are rounded to 11 significant bits on their way into a GPU's tensor cores; all else is
    float32. Another network, a little, than in float32. Spectra are computed in float64 from the parameters."""

    rounded = True

    @classmethod
    def obstacle(cls, cell: Cell, device: torch.device) -> str | None:
        return None if device.type == "cuda" else "only NVIDIA's GPUs have TF32"

    @contextmanager
    def arithmetic(self) -> Iterator[None]:
        products = torch.backends.cuda.matmul
        before, products.allow_tf32 = products.allow_tf32, True
        try:
            yield
        finally:
            products.allow_tf32 = before
