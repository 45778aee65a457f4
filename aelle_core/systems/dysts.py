"""The systems of the package dysts, by name: `get_system("dysts:Halvorsen")`."""

import ast
import json
from collections.abc import Mapping, Sequence
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

PREFIX = "dysts:"
SAMPLES_PER_PERIOD = 50
_STEPS_PER_SAMPLE = 4
_FILES = {"flows.py": "chaotic_attractors.json", "maps.py": "discrete_maps.json"}


class _Equation:
    """Mixin: states are columns of the package's equation, which is a Python function of numbers; here of tensors.

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
    parameters: dict[str, float]

    @property
    def _instance(self) -> Any:
        made: Any = self.definition()
        vars(made).update({**self.constants, **self.parameters})
        return made

    def _evaluated(self, state: Tensor, *time: float) -> Tensor:
        system, columns = self._instance, state.unbind(dim=-1)
        if (static := getattr(system, "_rhs", None)) is not None:
            derivatives = static(*columns, *time, **vars(system))
        else:
            derivatives = system.rhs(columns, *time)
        derivatives = derivatives if isinstance(derivatives, tuple | list) else (derivatives,)
        return torch.stack([derivative + torch.zeros_like(columns[0]) for derivative in derivatives], dim=-1)

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
    """Return the names of all flows and maps of the package that are equations without delay or random draws.

    Raises UserError where the package is not installed.
    """
    return sorted(name for name, (_, _, definition) in _definitions().items() if _is_plain(definition))


@cache
def dysts_system(name: str) -> type[KnownSystem]:
    """Return the system that the package calls `name`, without the prefix "dysts:".

    Raises UserError where the package is not installed, has no such system, or has one that is no plain equation.
    """
    definitions = _definitions()
    if name not in definitions:
        raise unknown_name("system of dysts", name, definitions)
    is_flow, entry, definition = definitions[name]
    if not _is_plain(definition):
        raise UserError(f"{PREFIX}{name} has a delay: expected a system whose state is a few numbers")
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
        attributes["longest_step"] = attributes["interval"] / _STEPS_PER_SAMPLE
    kind = type(f"Dysts{name}", (DystsFlow if is_flow else DystsMap,), attributes)
    try:
        shown = kind()._evaluated(torch.tensor([start, start], dtype=torch.float64), *([0.0] if is_flow else []))
        if shown.shape != (2, len(start)):
            raise ValueError(f"{counted(shown.shape[-1], 'number')} for {len(start)}")
    except (TypeError, ValueError, RuntimeError, AttributeError, IndexError, NotImplementedError) as error:
        raise UserError(
            f"{PREFIX}{name} is not a function of tensors ({first_line(error)}): expected another system"
        ) from error
    return kind


def _is_plain(definition: type) -> bool:
    return not any(base.__name__ == "DynSysDelay" for base in definition.__mro__)


@cache
def _definitions() -> Mapping[str, tuple[bool, Mapping[str, Any], type]]:
    """Return by name: whether it is a flow, what the package keeps of it, and the class with its equation.

    The equations are read from the package's files, not imported: importing dysts imports gluonts and compiles with
    numba, and its functions would take numbers of NumPy alone.
    """
    require("systems", "a system of dysts")
    definitions = {}
    for file, data in _FILES.items():
        classes = _classes((_home() / file).read_text())
        entries = json.loads((_home() / "data" / data).read_text())
        for name, entry in entries.items():
            if isinstance(kind := classes.get(name), type):
                definitions[name] = file == "flows.py", entry, kind
    return definitions


def _home() -> Path:
    spec = find_spec("dysts")
    assert spec is not None and spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations)))


def _classes(source: str) -> dict[str, Any]:
    """Return what a file of equations defines, with torch's functions in place of NumPy's and without its imports."""
    tree = ast.parse(source)
    tree.body = [statement for statement in tree.body if not isinstance(statement, ast.Import | ast.ImportFrom)]
    names: dict[str, Any] = {
        "__name__": __name__,
        "np": _Functions(),
        "staticjit": staticmethod,
        **{base: type(base, (), {}) for base in ("DynSys", "DynMap", "DynSysDelay")},
    }
    exec(compile(tree, "dysts", "exec"), names)
    return names


class _Functions:
    """NumPy's names for torch's functions, on tensors; on numbers NumPy's own."""

    _called: ClassVar[Mapping[str, str]] = {"arctan2": "atan2", "arccos": "acos", "arctan": "atan", "arcsin": "asin"}

    def __getattr__(self, name: str) -> Any:
        plain = getattr(np, name)
        if not callable(plain):
            return plain

        def function(*given: Any, **options: Any) -> Any:
            if not any(isinstance(argument, Tensor) for argument in _flat(given)):
                return plain(*given, **options)
            like = next(argument for argument in _flat(given) if isinstance(argument, Tensor))
            if name in ("array", "asarray", "hstack"):
                return list(given[0])
            values = [
                argument if isinstance(argument, Tensor) else torch.full_like(like, argument) for argument in given
            ]
            return getattr(torch, self._called.get(name, name))(*values, **options)

        return function


def _flat(given: Sequence[Any]) -> list[Any]:
    return [leaf for entry in given for leaf in (_flat(entry) if isinstance(entry, list | tuple) else [entry])]
