"""Linear readouts by ridge regression, for packs."""

import torch
from torch import Tensor


class Ridge:
    """Weights w and offsets c, of each network, where the mean of |w h + c - y|^2 + ridge |w|^2 is least, from pairs
    that come in parts; in float64, from the normal equations. Tikhonov 1963; Lukosevicius & Jaeger 2009, equation 13.
    """

    def __init__(self, networks: int, units: int, outputs: int, device: torch.device) -> None:
        self.squares = torch.zeros(networks, units + 1, units + 1, dtype=torch.float64, device=device)
        self.products = torch.zeros(networks, units + 1, outputs, dtype=torch.float64, device=device)
        self.rows = 0

    def add(self, hidden: Tensor, targets: Tensor) -> None:
        """Take pairs (networks, rows, units) and (networks, rows, outputs)."""
        wide = torch.cat([hidden.double(), hidden.new_ones(*hidden.shape[:2], 1).double()], dim=-1)
        self.squares += wide.mT @ wide
        self.products += wide.mT @ targets.double()
        self.rows += hidden.shape[1]

    def solve(self, ridge: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights (networks, outputs, units) and offsets (networks, outputs) for `ridge` (networks,) above 0."""
        size = self.squares.shape[-1]
        penalty = torch.ones(size, dtype=torch.float64, device=ridge.device)
        penalty[-1] = 1e-12  # the offset goes free, up to what keeps the equations regular
        system = self.squares / self.rows + ridge.double()[:, None, None] * torch.diag(penalty)
        solution = torch.linalg.solve(system, self.products / self.rows)
        return solution[:, :-1].mT.contiguous(), solution[:, -1]
