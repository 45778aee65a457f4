"""The Kuramoto-Sivashinsky equation on a ring: chaos in space and time."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from aelle_core.foundation.errors import UserError
from aelle_core.systems.base import KnownExponents, KnownSystem, systems


@systems.register("kuramoto_sivashinsky")
class KuramotoSivashinsky(KnownSystem):
    """u_t = -u u_x - u_xx - u_xxxx on a ring of `length`, u of mean zero at `points` equal places.

    Fourier modes, of which the upper third is left out of products, by exponential time differencing of fourth order
    (Kassam & Trefethen, SIAM J. Sci. Comput. 26, 2005). Translation gives a second exponent of zero; directions that
    the modes do not have (the mean, the highest wave) are dead.

    Kuramoto & Tsuzuki 1976; Sivashinsky 1977.

    >>> KuramotoSivashinsky().sample(series=2, steps=10).shape
    torch.Size([2, 10, 64])
    """

    defaults: ClassVar[Mapping[str, float]] = {"length": 22.0, "points": 64}
    interval = 0.5
    transient = 800
    longest_step = 0.25
    known = (
        KnownExponents(
            {0: 0.048, 1: 0.0, 2: 0.0, 3: -0.003, 4: -0.189, 5: -0.256, 6: -0.290, 7: -0.310},
            5e-4,
            "Cvitanović, Davidchack, Siminos, SIAM J. Appl. Dyn. Syst. 9 (2010), section 2",
            {},
        ),
    )

    def __init__(self, *, interval: float | None = None, **parameters: float) -> None:
        super().__init__(interval=interval, **parameters)
        points, length = self.parameters["points"], self.parameters["length"]
        if points != int(points) or points % 2 or not 8 <= points <= 65_536:
            raise UserError(f"kuramoto_sivashinsky: points={points!r}: expected an even number from 8 to 65536")
        if length <= 0:
            raise UserError(f"kuramoto_sivashinsky: length={length!r}: expected a length above 0")
        self.substeps = max(1, -int(-self.interval // self.longest_step))
        step = self.interval / self.substeps
        self._waves = 2 * torch.pi / length * torch.arange(self.size // 2 + 1, dtype=torch.float64)
        self._kept = (torch.arange(self.size // 2 + 1) <= self.size // 3) & (self._waves > 0)
        linear = self._waves**2 - self._waves**4
        # Means over a circle around each value: the formulas themselves cancel near zero.
        circle = torch.exp(1j * torch.pi * (torch.arange(1, 33, dtype=torch.float64) - 0.5) / 32)
        z = step * linear[:, None] + circle
        mean = lambda values: values.mean(dim=1).real  # noqa: E731
        self._whole, self._half = torch.exp(step * linear), torch.exp(step * linear / 2)
        self._to_half = step * mean((torch.exp(z / 2) - 1) / z)
        self._first = step * mean((-4 - z + torch.exp(z) * (4 - 3 * z + z**2)) / z**3)
        self._middle = step * mean((2 + z + torch.exp(z) * (z - 2)) / z**3)
        self._last = step * mean((-4 - 3 * z - z**2 + torch.exp(z) * (4 - z)) / z**3)

    @property
    def size(self) -> int:
        return int(self.parameters["points"])

    def draw(self, count: int, source: torch.Generator) -> Tensor:
        rough = torch.fft.rfft(torch.randn(count, self.size, generator=source, dtype=torch.float64))
        smooth = torch.where((self._waves > 0) & (self._waves < 2), rough, torch.zeros_like(rough))
        return torch.fft.irfft(smooth, n=self.size)

    def _nonlinear(self, modes: Tensor) -> Tensor:
        u = torch.fft.irfft(modes, n=self.size)
        return -0.5j * self._waves * torch.where(self._kept, torch.fft.rfft(u * u), 0)

    def advance(self, state: Tensor) -> Tensor:
        modes = torch.where(self._kept, torch.fft.rfft(state), 0)
        for _ in range(self.substeps):
            now = self._nonlinear(modes)
            a = self._half * modes + self._to_half * now
            at_a = self._nonlinear(a)
            b = self._half * modes + self._to_half * at_a
            at_b = self._nonlinear(b)
            c = self._half * a + self._to_half * (2 * at_b - now)
            modes = self._whole * modes + self._first * now + 2 * self._middle * (at_a + at_b)
            modes = modes + self._last * self._nonlinear(c)
        return torch.fft.irfft(modes, n=self.size)
