"""Recurrent cells whose parameters are stacked over networks, so that a pack of them steps at once."""

from aelle_core.cells.base import Cell, Network, State, cells, get_cell
from aelle_core.cells.blocks import Block, Blocks, dense_jacobian
from aelle_core.cells.torch_layers import from_torch, to_torch

__all__ = [
    "Block",
    "Blocks",
    "Cell",
    "Network",
    "State",
    "cells",
    "dense_jacobian",
    "from_torch",
    "get_cell",
    "to_torch",
]
