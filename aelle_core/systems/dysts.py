"""The systems of the package dysts, by name: `get_system("dysts:Halvorsen")`."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError, first_line, unknown_name
from aelle_core.foundation.extras import require
from aelle_core.systems.base import Flow, KnownSystem
from aelle_core.systems.dysts_equations import as_constant, classes_of

PREFIX = "dysts:"
SAMPLES_PER_PERIOD = 50
_STEPS_PER_SAMPLE = (4, 8, 16, 32, 64, 128, 256)
_CLOSE = 1e-5  # of the attractor's size: how far a sample may be from that of half the step
_FILES = {"flows.py": "chaotic_attractors.json", "maps.py": "discrete_maps.json"}


class _Equation:
    """Mixin: states are columns of the package's equation, which is a Python function of numbers; here of tensors.
    Where it is a function of a vector, `by_vectors`, torch maps it over the batch.

    stored  the exponents that the package keeps for its default parameters, nats per unit of time: not `known`, since
            they are estimates with errors that it does not state
    """

    definition: ClassVar[type]
    constants: ClassVar[Mapping[str, Any]]
    start: ClassVar[tuple[float, ...]]
    scale: ClassVar[tuple[float, ...]]
    stored: ClassVar[tuple[float, ...]]
    source: ClassVar[str]
    size: ClassVar[int]
    by_vectors: ClassVar[bool] = False
    parameters: dict[str, float]

    @property
    def _instance(self) -> Any:
        made: Any = self.definition()
        vars(made).update({**self.constants, **self.parameters})
        return made

    def _evaluated(self, state: Tensor, *time: float) -> Tensor:
        if self.by_vectors:
            return torch.func.vmap(lambda vector: self._of_vector(vector, *time))(state)
        columns = state.unbind(dim=-1)
        derivatives = _right_hand_side(self._instance, columns, *time)
        derivatives = derivatives if isinstance(derivatives, tuple | list) else (derivatives,)
        return torch.stack([derivative + torch.zeros_like(columns[0]) for derivative in derivatives], dim=-1)

    def _of_vector(self, vector: Tensor, *time: float) -> Tensor:
        """Return the same of one state (size,)."""
        system: Any = self._instance
        vars(system).update({name: as_constant(value) for name, value in self.constants.items()})
        derivatives = _right_hand_side(system, vector, *time)
        if isinstance(derivatives, Tensor):
            return derivatives
        return torch.stack([derivative + torch.zeros_like(vector[0]) for derivative in derivatives])

    def draw(self, count: int, source: torch.Generator) -> Tensor:
        noise = torch.randn(count, self.size, generator=source, dtype=torch.float64)
        return torch.tensor(self.start, dtype=torch.float64) + 0.02 * torch.tensor(self.scale) * noise

    def observe(self, state: Tensor) -> Tensor:
        """Return states (..., size), with angles and phases that grow for ever folded as the package folds them:
        (..., features)."""
        system = self._instance
        if not hasattr(system, "_postprocessing"):
            return state
        return torch.stack(list(system._postprocessing(*state.unbind(dim=-1))), dim=-1)


def _right_hand_side(system: Any, state: Any, *time: float) -> Any:
    """Return what the package's equation gives for the coordinates of a state."""
    if (static := getattr(system, "_rhs", None)) is not None:
        return static(*state, *time, **vars(system))
    return system.rhs(state, *time)


class DystsFlow(_Equation, Flow):
    """A differential equation of dysts, 50 samples to a period. Gilpin, Chaos as an interpretable benchmark for
    forecasting and data-driven modelling, NeurIPS 2021 (datasets and benchmarks)."""

    transient = 10 * SAMPLES_PER_PERIOD

    def velocity(self, state: Tensor) -> Tensor:
        return self._evaluated(state, 0.0)


class DystsMap(_Equation, KnownSystem):
    """A map of dysts."""

    transient = 200

    def advance(self, state: Tensor) -> Tensor:
        return self._evaluated(state)


def dysts_names() -> list[str]:
    """Return the names of all flows and maps of the package whose next state follows from the present one alone.

    Raises UserError where the package is not installed.
    """
    return sorted(name for name, (_, _, definition) in _definitions().items() if not _beside_the_state(definition))


@cache
def dysts_system(name: str) -> type[KnownSystem]:
    """Return the system that the package calls `name`, without the prefix "dysts:".

    Raises UserError where the package is not installed, has no such system, or has one that is no plain equation.
    """
    definitions = _definitions()
    if name not in definitions:
        raise unknown_name("system of dysts", name, definitions)
    is_flow, entry, definition = definitions[name]
    if obstacle := _beside_the_state(definition):
        raise UserError(f"{PREFIX}{name} {obstacle}: expected a system whose next state follows from the present one")
    start = tuple(map(float, np.ravel(entry["initial_conditions"])))
    numbers = {key: value for key, value in entry["parameters"].items() if isinstance(value, int | float)}
    attributes: dict[str, Any] = {
        "name": PREFIX + name,
        "defaults": {key: float(value) for key, value in numbers.items()},
        "constants": {key: value for key, value in entry["parameters"].items() if key not in numbers},
        "definition": definition,
        "start": start,
        "scale": tuple(map(float, entry.get("std", [max(1e-3, abs(coordinate)) for coordinate in start]))),
        "stored": tuple(entry.get("lyapunov_spectrum_estimated") or ()),
        "source": entry.get("citation", ""),
        "size": len(start),
    }
    if is_flow:
        attributes["interval"] = entry["period"] / SAMPLES_PER_PERIOD
    kind: Any = type(f"Dysts{name}", (DystsFlow if is_flow else DystsMap,), attributes)
    for kind.by_vectors in (False, True):
        try:
            _check_shape(kind(), is_flow)
            break
        except (TypeError, ValueError, RuntimeError, AttributeError, IndexError, NotImplementedError) as error:
            if kind.by_vectors:
                raise UserError(
                    f"{PREFIX}{name} is not a function of tensors ({first_line(error)}): expected another system"
                ) from error
    if is_flow:
        kind.longest_step = _longest_step(kind)
    return kind


def _check_shape(system: Any, is_flow: bool) -> None:
    start = torch.tensor([system.start, system.start], dtype=torch.float64)
    shown = system._evaluated(start, *([0.0] if is_flow else []))
    if shown.shape != start.shape:
        raise ValueError(f"{counted(shown.shape[-1], 'number')} for {start.shape[-1]}")


def _longest_step(kind: type[DystsFlow]) -> float:
    """Return the longest Runge-Kutta step with which every sample of one period is within 1e-5 of the attractor's size
    of what half the step gives."""
    system, size = kind(), torch.tensor(kind.scale, dtype=torch.float64).clamp(min=1e-9)

    def after(state: Tensor, steps: int) -> Tensor:
        system.substeps = steps
        return system.advance(state)

    def close_enough(steps: int) -> bool:
        state = torch.tensor([kind.start], dtype=torch.float64)
        for _ in range(SAMPLES_PER_PERIOD):
            coarse, state = after(state, steps), after(state, 2 * steps)
            if not bool(((coarse - state).abs() <= _CLOSE * size).all()):
                return False
        return True

    steps = next(filter(close_enough, _STEPS_PER_SAMPLE), _STEPS_PER_SAMPLE[-1])
    return kind.interval / steps


def _beside_the_state(definition: type) -> str:
    """Return what the next state hangs on beside the present one, or nothing."""
    if any(base.__name__ == "DynSysDelay" for base in definition.__mro__):
        return "has a delay"
    return "changes its parameters at every step" if hasattr(definition, "_param_update") else ""


@cache
def _definitions() -> Mapping[str, tuple[bool, Mapping[str, Any], type]]:
    """Return by name: whether it is a flow, what the package keeps of it, and the class with its equation.

    The equations are read from the package's files, not imported: importing dysts imports gluonts and compiles with
    numba, and its functions would take numbers of NumPy alone.
    """
    require("systems", "a system of dysts")
    definitions = {}
    for file, data in _FILES.items():
        classes = classes_of((_home() / file).read_text())
        entries = json.loads((_home() / "data" / data).read_text())
        for name, entry in entries.items():
            if isinstance(kind := classes.get(name), type):
                definitions[name] = file == "flows.py", entry, kind
    return definitions


def _home() -> Path:
    spec = find_spec("dysts")
    assert spec is not None and spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations)))
