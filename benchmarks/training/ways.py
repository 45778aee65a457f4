"""The ways to a spectrum that take turns: ours and its peers', for one cell at one size."""

import functools
from typing import Any

from torch import Tensor

from aelle_core.cells import Network, to_torch
from aelle_core.lyapunov import lyapunov_spectrum
from benchmarks.peers import published
from benchmarks.peers.autodiff import autodiff_spectrum
from benchmarks.peers.covariant import clvlib_spectrum
from benchmarks.shared.timing import Way
from benchmarks.spectrum.cases import LENGTHS, SEQUENCES, Case, draw_inputs, draw_network, kinds

_CHECKED_UP_TO = 256  # dimensions; beyond, the check would take minutes to cost what it costs below
_OPTIONS: dict[str, dict[str, Any]] = {
    "exact": {"check": False},
    "checked": {"check": True},
    "fast": {"check": False, "precision": "fast"},
}


def ways_of(cell: str, units: int, threads: int) -> list[Way]:
    """Every way to the spectra of a random network of this cell. Names are kind/way: "hidden/exact", say. clvlib takes
    its turns on one thread only: on two it is slower, and its idle threads get in everybody's way."""
    network = draw_network(cell, units)
    lengths = LENGTHS[units]
    ways: list[Way] = []
    for kind in kinds(cell):
        case = Case(cell, units, kind)
        wide = case.size > units
        ours = (
            draw_inputs(lengths.ours_wide_sequences, lengths.ours_wide)
            if wide
            else draw_inputs(SEQUENCES, lengths.ours)
        )
        peers = draw_inputs(lengths.autodiff_sequences, lengths.autodiff_wide if wide else lengths.autodiff)
        for name, options in _OPTIONS.items():
            if name != "checked" or case.size <= _CHECKED_UP_TO:
                run = functools.partial(lyapunov_spectrum, network, jacobian=kind, **options)
                ways.append(Way.on(f"{kind}/{name}", run, ours))
        hidden = kind == "hidden"
        ways.append(Way.on(f"{kind}/autodiff", functools.partial(autodiff_spectrum, network, hidden=hidden), peers))
    if cell in published.CELLS:
        ways += _published_ways(network, draw_inputs(SEQUENCES, lengths.published))
    if cell == "rnn" and threads == 1:
        ways.append(Way.on("full/clvlib", functools.partial(clvlib_spectrum, network), draw_inputs(1, lengths.ours)))
    return ways


def _published_ways(network: Network, inputs: Tensor) -> list[Way]:
    layer = to_torch(network)
    return [
        Way.on("published", functools.partial(published.published_spectrum, layer), inputs),
        Way.on("tightened", functools.partial(published.published_spectrum, layer, tightened=True), inputs),
    ]
