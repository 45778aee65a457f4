"""A step function that runs as machine code."""

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from aelle_core.foundation.machine_code import compile_once
from aelle_core.lyapunov.compiled.emit.code import NAME, SIGNATURE, StepCode
from aelle_core.lyapunov.compiled.emit.writer import NOISE
from aelle_core.lyapunov.compiled.graph import Graph
from aelle_core.lyapunov.kernels.rounding import Rounding

_ROOM = "steps"  # of the user's cache
_KEPT = 64  # functions in memory
_SILENT_SECONDS = 1.0
_lock = threading.Lock()
_log = logging.getLogger(__name__)


class Compiled(NamedTuple):
    """Code, its function, and what must live as long as that."""

    code: StepCode
    function: Any
    engine: Any


_codes: dict[tuple[bytes, bool], Compiled] = {}


class MachineStep:
    """Trajectories of a traced step, with the Jacobian of every step, on arrays in float64.

    Code is compiled when it is first needed, for undisturbed and for disturbed trajectories apart, and kept in the
    user's cache: steps that differ in constants only share it.
    """

    def __init__(self, graph: Graph, disturbance: float) -> None:
        self.graph, self.structure = graph, graph.structure()
        self.disturbance = disturbance
        self._codes: dict[bool, Compiled] = {}

    def run(
        self, states: Tensor, inputs: Tensor | None, steps: int, disturbed: Sequence[bool], first: int, threads: int = 1
    ) -> tuple[Tensor, Tensor]:
        """Return the states (trajectories, size) after so many steps, and the transposed Jacobians (trajectories,
        steps, size, size). Inputs are (trajectories, steps, features); `first` is the number of the first step."""
        trajectories, size = states.shape
        ends = states.contiguous().clone()
        jacobians = states.new_empty(trajectories, steps, size, size)
        given = None if inputs is None else inputs.contiguous()
        for kind in set(disturbed):
            self._code(kind)

        def part(rows: Sequence[int]) -> None:
            rooms = {kind: _Room(self.graph, self._code(kind).code, self.disturbance) for kind in set(disturbed)}
            for row in rows:
                room, function = rooms[disturbed[row]], self._code(disturbed[row]).function
                room.values[1 : 1 + size] = ends[row].numpy()
                function(
                    *(array.ctypes.data for array in (room.values, room.rows, room.noise)),
                    None if given is None else given[row].data_ptr(),
                    jacobians[row].data_ptr(),
                    steps,
                    (first * 7919 + row * 104729) % NOISE,
                )
                ends[row] = torch.from_numpy(room.values[1 : 1 + size])

        shares = [list(range(trajectories))[thread::threads] for thread in range(min(threads, trajectories))]
        if len(shares) == 1:
            part(shares[0])
        else:
            with ThreadPoolExecutor(len(shares)) as pool:
                list(pool.map(part, shares))
        return ends, jacobians

    def _code(self, disturbed: bool) -> Compiled:
        if disturbed not in self._codes:
            with _lock:
                self._codes[disturbed] = _code(self.graph, self.structure, disturbed)
        return self._codes[disturbed]


class _Room:
    """What one trajectory after another works in."""

    def __init__(self, graph: Graph, code: StepCode, disturbance: float) -> None:
        self.values = _aligned(code.values)
        constants = graph.constants
        self.values[list(constants)] = list(constants.values())
        for at, elements in code.turned.items():
            self.values[at : at + len(elements)] = self.values[elements]
        rows, width = code.rows
        self.rows = _aligned(rows * width)
        self.rows.reshape(rows, width)[range(graph.size), range(graph.size)] = 1
        self.noise = _noise(max([NOISE, *(operation.count for operation in graph.operations)]), disturbance)


def _aligned(count: int) -> np.ndarray:
    """Return that many zeros that begin at a cache line."""
    room = np.zeros(count + 8)
    skip = (-room.ctypes.data) % 64 // 8
    return room[skip : skip + count]


@lru_cache(maxsize=4)
def _noise(longest: int, disturbance: float) -> np.ndarray:
    drawn = torch.empty(NOISE, dtype=torch.float64).uniform_(-1, 1, generator=Rounding.source("cpu"))
    factors = (1 + disturbance * drawn).numpy()
    return np.resize(factors, NOISE + longest)


def _code(graph: Graph, structure: bytes, disturbed: bool) -> Compiled:
    """Return the code of a graph and its function, from memory where a graph of that structure has been compiled."""
    key = structure, disturbed
    if key in _codes:
        _codes[key] = _codes.pop(key)  # the last to be dropped
        return _codes[key]
    started = time.monotonic()
    code = StepCode(graph, disturbed=disturbed)
    engine = compile_once(code.module, _ROOM)
    function = SIGNATURE(engine.get_function_address(NAME))
    if (taken := time.monotonic() - started) > _SILENT_SECONDS:
        _log.info("compiled the step function in %.1f s; the code is kept for the next process", taken)
    while len(_codes) >= _KEPT:
        _codes.pop(next(iter(_codes)))
    _codes[key] = Compiled(code, function, engine)
    return _codes[key]
