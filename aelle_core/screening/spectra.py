"""Hidden-state spectra of whatever a person hands over as candidates, packs of equal shape together."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from aelle_core.cells import Network, from_torch
from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError
from aelle_core.lyapunov import lyapunov_spectrum, pack_spectra


def candidate_spectra(candidates: Sequence[Any], inputs: Tensor) -> list[np.ndarray | None]:
    """Return the exponents of each candidate on inputs (batch, time, features), None where they are not finite.

    A candidate is a Network, a torch RNN, GRU or LSTM of one layer, one of their cells, or a module whose
    forward(x, h) -> h takes x (batch, features) and h (batch, units) and has an attribute `hidden_size` or `units`.
    Networks of one cell and size are taken as packs. Raises UserError, naming its position, for anything else.
    """
    spectra: list[np.ndarray | None] = [None] * len(candidates)
    packs: dict[tuple[Any, ...], list[tuple[int, Network]]] = {}
    for index, candidate in enumerate(candidates):
        if isinstance(candidate, Network | nn.RNNBase | nn.RNNCellBase):
            network = _single(candidate, index)
            key = (network.cell.name, network.cell.units, network.cell.input_size)
            packs.setdefault(key, []).append((index, network))
        elif isinstance(candidate, nn.Module):
            spectra[index] = _of_module(candidate, inputs, index)
        else:
            raise UserError(
                f"candidate {index} is a {type(candidate).__name__}: expected a Network, a torch recurrent layer, or a "
                "module with forward(x, h) -> h"
            )
    for members in packs.values():
        for (index, _), spectrum in zip(
            members, pack_spectra(_packed(members), inputs, jacobian="hidden"), strict=True
        ):
            spectra[index] = spectrum.exponents if spectrum.status == "ok" else None
    return spectra


def _single(candidate: Network | nn.Module, index: int) -> Network:
    networks = [candidate] if isinstance(candidate, Network) else from_torch(candidate)
    if len(networks) != 1 or networks[0].packed:
        raise UserError(
            f"candidate {index} is a pack or has {counted(len(networks), 'layer')}: expected one network of one layer"
        )
    return networks[0]


def _packed(members: Sequence[tuple[int, Network]]) -> Network:
    """One Network of all members, their tensors and constants stacked."""
    cell = members[0][1].cell
    names = list(cell.parameter_shapes())
    parameters = {name: torch.stack([network.parameters[name].detach() for _, network in members]) for name in names}
    constants = {  # in float64 from the start: 0.1 in float32 is another constant
        name: torch.tensor(
            [float({**cell.defaults, **network.constants}[name]) for _, network in members], dtype=torch.float64
        ).view(-1, 1, 1)
        for name in cell.defaults
    }
    return Network(cell, parameters, constants)


def _of_module(module: nn.Module, inputs: Tensor, index: int) -> np.ndarray | None:
    units = getattr(module, "hidden_size", None) or getattr(module, "units", None)
    if not isinstance(units, int) or units < 1:
        raise UserError(
            f"candidate {index}, a {type(module).__name__}, has no hidden_size or units: expected a whole number, the "
            "size of its state h"
        )
    start = inputs.new_zeros(len(inputs), units)
    spectrum = lyapunov_spectrum(module, inputs, initial_state=start, check=False)
    return spectrum.exponents if spectrum.status == "ok" else None
