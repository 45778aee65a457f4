"""Runs the graph of an exported program."""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function

from aelle_core.loading.torch_export.archive import DTYPES, Archive

_ATEN = re.compile(r"torch\.ops\.aten\.([A-Za-z]\w*|_\w+)\.([A-Za-z]\w*)")
# The file chooses what is called: torch's public tensor operations, these private ones, and arithmetic on sizes.
_PRIVATE = {"_softmax", "_log_softmax", "_to_copy", "_unsafe_view", "_native_batch_norm_legit_no_training"}
_ARITHMETIC = {
    f"_operator.{name}": getattr(operator, name) for name in ("add", "sub", "mul", "floordiv", "truediv", "mod", "neg")
}
_CHECKS = ("torch.ops.aten._assert", "torch.ops.aten.sym_constrain_range")
_NO_GRAD = "torch.ops.higher_order.wrap_with_set_grad_enabled"
_STRINGS = {"none", "tanh", "floor", "trunc"}  # gelu's and div's; no operation is handed the name of a file
_MEMORY_FORMATS = {
    1: torch.contiguous_format,
    2: torch.channels_last,
    3: torch.channels_last_3d,
    4: torch.preserve_format,
}


@dataclass(frozen=True, eq=False)
class Node:
    """One operation of a graph.

    function    what it calls; None where that is not something that a file may call
    overload    torch's own operation behind `function`, where it is one
    arguments   (name, whether by keyword, kind, what is in the file)
    outputs     names of what it returns; a name within brackets in the file, as chunk has, is `listed`
    """

    target: str
    function: Callable[..., Any] | None
    overload: torch._ops.OpOverload | None
    arguments: tuple[tuple[str, bool, str, Any], ...]
    outputs: tuple[str, ...]
    listed: bool

    @property
    def inputs(self) -> list[str]:
        """Names of the values that it takes."""
        return [name for _, _, kind, entry in self.arguments for name in value_names(kind, entry)]

    @property
    def mutates(self) -> bool:
        """Whether it changes numbers in place."""
        schema = None if self.overload is None else self.overload._schema
        return schema is not None and schema.is_mutable and not self.target.startswith("torch.ops.aten.detach_")

    @property
    def draws(self) -> bool:
        """Whether it draws random numbers (dropout does not: it is run as after training)."""
        tags = () if self.overload is None else self.overload.tags
        trained = any(name in ("train", "training") for name, *_ in self.arguments)
        return torch.Tag.nondeterministic_seeded in tags and not trained


class AbsentError(Exception):
    """A value is asked for that could not be computed: says why."""


class ExportedModule(nn.Module):
    """An exported program over its tensors, which `to` moves and converts.

    Operations that behave otherwise in training (dropout, batch normalisation) run as after it.
    """

    def __init__(self, archive: Archive) -> None:
        super().__init__()
        self.path, self.inputs, self.outputs, self.paths = archive.path, archive.inputs, archive.outputs, archive.paths
        self._names = list(archive.tensors)
        for index, tensor in enumerate(archive.tensors.values()):
            if isinstance(tensor, nn.Parameter):
                self.register_parameter(f"tensor_{index}", tensor)
            else:
                self.register_buffer(f"tensor_{index}", tensor)
        self.nodes = list(_nodes(archive.graph["nodes"]))
        self._copies = any(node.mutates for node in self.nodes)

    def values(
        self, given: Mapping[str, Tensor], *, until: Node | None = None, floats: torch.dtype | None = None
    ) -> "Values":
        """Return all values that can be computed from the `given` inputs, by name, up to the node `until`.

        floats  what a real type that is written in the graph is taken for; by default for itself
        """
        tensors = {name: getattr(self, f"tensor_{index}") for index, name in enumerate(self._names)}
        if self._copies:
            tensors = {name: tensor.clone() for name, tensor in tensors.items()}
            given = {name: tensor.clone() for name, tensor in given.items()}
        device = next(iter(given.values())).device if given else torch.device("cpu")
        values = Values({**tensors, **given}, device, floats)
        for node in self.nodes:
            if node is until:
                break
            values.add(node)
        return values


class Values:
    """Named values of one run. What fails is absent, with its reason, until somebody asks for it."""

    def __init__(self, known: dict[str, Any], device: torch.device, floats: torch.dtype | None) -> None:
        self._known, self._device, self._floats = known, device, floats
        self._absent: dict[str, str] = {}

    def __getitem__(self, name: str) -> Any:
        """Raise AbsentError with the reason when there is no such value."""
        if name not in self._known:
            raise AbsentError(self._absent.get(name, f"{name!r} is not given"))
        return self._known[name]

    def add(self, node: Node) -> None:
        """Compute a node, or note why that cannot be."""
        try:
            if node.function is None:
                raise AbsentError(f"it calls {node.target}, which is not one of torch's own tensor operations")
            positional, keywords = [], {}
            for name, by_keyword, kind, entry in node.arguments:
                value = False if name in ("train", "training") else self.argument(kind, entry)
                if by_keyword:
                    keywords[name] = value
                else:
                    positional.append(value)
            result = node.function(*positional, **keywords)
        except AbsentError as error:
            self._absent.update(dict.fromkeys(node.outputs, str(error)))
        except (RuntimeError, TypeError, ValueError, LookupError, NotImplementedError) as error:
            reason = f"{node.target.removeprefix('torch.ops.')} failed: {(str(error) or repr(error)).splitlines()[0]}"
            self._absent.update(dict.fromkeys(node.outputs, reason))
        else:
            has_several = node.listed or len(node.outputs) > 1
            self._known.update(zip(node.outputs, result if has_several else [result], strict=False))

    def argument(self, kind: str, entry: Any) -> Any:
        """Return what an argument of the graph stands for. Raises AbsentError when that cannot be known."""
        if kind in ("as_int", "as_bool", "as_ints", "as_bools"):
            return entry
        if kind == "as_float":
            return float(entry)  # infinities are strings in the file
        if kind == "as_floats":
            return [float(number) for number in entry]
        if kind == "as_none":
            return None
        if kind == "as_tensor":
            return self[entry["name"]]
        if kind == "as_tensors":
            return [self[tensor["name"]] for tensor in entry]
        if kind in ("as_optional_tensor", "as_sym_int", "as_sym_float", "as_sym_bool"):
            ((inner, value),) = entry.items()
            return self[value] if inner == "as_name" else self.argument(inner, value)
        if kind in ("as_optional_tensors", "as_sym_ints", "as_sym_floats", "as_sym_bools"):
            return [self.argument(kind.removesuffix("s"), element) for element in entry]
        if kind == "as_scalar_type":
            dtype = DTYPES[entry]
            return self._floats if self._floats is not None and dtype.is_floating_point else dtype
        if kind == "as_device":
            return self._device
        if kind == "as_memory_format":
            return _MEMORY_FORMATS[entry]
        if kind == "as_layout" and entry == 7:
            return torch.strided
        if kind == "as_string" and entry in _STRINGS:
            return entry
        raise AbsentError(f"it uses an argument that is not understood: {kind.removeprefix('as_')} {str(entry)[:40]!r}")


def _nodes(entries: list[dict[str, Any]]) -> Iterator[Node]:
    """Yield the operations of a graph in order; blocks without gradients are opened, run-time checks left out."""
    for entry in entries:
        target = entry["target"]
        if target.startswith(_CHECKS):
            continue  # they would refuse other precisions and devices
        if target == _NO_GRAD:
            yield from _opened(entry)
            continue
        arguments = []
        for given in entry["inputs"]:
            ((kind, value),) = given["arg"].items()
            arguments.append((given["name"], given.get("kind") == 2, kind, value))
        outputs, listed = _outputs(entry["outputs"])
        overload = _overload(target)
        function = _ARITHMETIC.get(target) if overload is None else _visible(overload)
        yield Node(target, function, overload, tuple(arguments), outputs, listed)


def _opened(entry: dict[str, Any]) -> Iterator[Node]:
    """Yield the operations of a block `with torch.no_grad()`, between copies of its inputs and outputs to their
    names."""
    _, block, *given = [argument["arg"] for argument in entry["inputs"]]
    graph = block["as_graph"]["graph"]
    names, _ = _outputs(entry["outputs"])
    inside = [argument["as_tensor"]["name"] for argument in graph["inputs"]]
    results = [argument["as_tensor"]["name"] for argument in graph["outputs"]]
    for name, argument in zip(inside, given, strict=True):
        if argument["as_tensor"]["name"] != name:
            yield _renamed(argument["as_tensor"]["name"], name)
    yield from _nodes(graph["nodes"])
    for result, name in zip(results, names, strict=True):
        yield _renamed(result, name)


def _renamed(old: str, new: str) -> Node:
    alias = torch.ops.aten.alias.default
    given = ("self", False, "as_tensor", {"name": old})
    return Node("torch.ops.aten.alias.default", _visible(alias), alias, (given,), (new,), False)


def _outputs(entries: list[dict[str, Any]]) -> tuple[tuple[str, ...], bool]:
    names: list[str] = []
    for entry in entries:
        ((kind, value),) = entry.items()
        names += value_names(kind, value) or [""]
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"outputs are named {names}")
    return tuple(names), any("as_tensors" in entry for entry in entries)


def value_names(kind: str, entry: Any) -> list[str]:
    """Return the names of values within an argument."""
    if kind == "as_tensor":
        return [entry["name"]]
    if kind == "as_tensors":
        return [tensor["name"] for tensor in entry]
    if kind in ("as_optional_tensor", "as_sym_int", "as_sym_float", "as_sym_bool"):
        ((inner, value),) = entry.items()
        return [value] if inner == "as_name" else value_names(inner, value)
    if kind in ("as_optional_tensors", "as_sym_ints", "as_sym_floats", "as_sym_bools"):
        return [name for element in entry for name in value_names(kind.removesuffix("s"), element)]
    return []


def _overload(target: str) -> torch._ops.OpOverload | None:
    """Return the operation of torch that a target of the graph calls, where it is one that a file may ask for."""
    match = _ATEN.fullmatch(target)
    if match is None or (match[1].startswith("_") and match[1] not in _PRIVATE):
        return None
    overload = getattr(getattr(torch.ops.aten, match[1], None), match[2], None)
    return overload if isinstance(overload, torch._ops.OpOverload) else None


def _visible(overload: torch._ops.OpOverload) -> Callable[..., Any]:
    """Return the operation under its plain name ("tanh", not "tanh.default"): whoever watches torch's functions, by a
    TorchFunctionMode, then sees a program do what the module did that it was exported from."""

    def call(*positional: Any, **keywords: Any) -> Any:
        if has_torch_function(positional):
            return handle_torch_function(call, positional, *positional, **keywords)
        return overload(*positional, **keywords)

    call.__name__ = overload._schema.name.removeprefix("aten::")
    return call
