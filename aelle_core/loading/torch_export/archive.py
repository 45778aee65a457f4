"""The file that torch.export.save writes, as plain data.

Why not torch.export.load: in torch 2.13 it unpickles the example inputs that every archive carries, first with
weights_only=True and, when that fails, with weights_only=False; it unpickles weights and constants that are marked so
with weights_only=False or pickle.loads; sizes are strings that it hands to sympy.sympify, which evaluates them, and
guards are Python source that the loaded module executes. Each of these runs code that a file brings along. Yet all
that a program needs is there as JSON (the graph) and raw bytes (the tensors): those are read here, and nothing else.
"""

import json
import sys
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aelle_core.files.places import check_is_file
from aelle_core.foundation.errors import UserError

SCHEMA = 8  # major version of the graph's JSON: what torch 2.13 writes

_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError),
    *(LookupError, ValueError, TypeError, AttributeError, RuntimeError),
)
# torch._export.serde.schema.ScalarType
DTYPES = {
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    12: torch.bool,
    13: torch.bfloat16,
}


@dataclass(frozen=True)
class Value:
    """A tensor that goes into or comes out of a program: a size that may vary is None."""

    name: str
    dtype: torch.dtype
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        return "(" + ", ".join("any" if size is None else str(size) for size in self.shape) + ")"


@dataclass(frozen=True)
class Archive:
    """A program before anything is made of it.

    graph       the JSON of torch's schema.Graph
    tensors     parameters, buffers and constants, by their names in the graph
    paths       where they were in the module ("encoder.lstm.weight_ih_l0"), by their names in the graph
    inputs      what a caller hands in, in order
    outputs     what the program returns, in order
    """

    path: Path
    graph: dict[str, Any]
    tensors: dict[str, Tensor]
    paths: dict[str, str]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]


def read_archive(path: Path) -> Archive:
    """Return the program in a file of torch.export.save.

    Raises UserError naming the file when it is missing, is something else, or stores its weights as a pickle.
    """
    check_is_file(path, "a .pt2 program")
    try:
        with zipfile.ZipFile(path) as file:
            return _read(path, file)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{str(path)!r} cannot be read ({error.strerror or error}): expected a .pt2 program") from error
    except _DAMAGE as error:
        raise UserError(f"{str(path)!r} is damaged, or no file of torch.export.save ({error!r})") from error


def _read(path: Path, file: zipfile.ZipFile) -> Archive:
    names = file.namelist()
    root = names[0].split("/")[0]

    def record(name: str) -> bytes:
        return file.read(f"{root}/{name}")

    def refuse(why: str) -> UserError:
        return UserError(f"{str(path)!r} {why}: expected a program that a recent torch.export.save wrote")

    if f"{root}/archive_format" not in names or record("archive_format") != b"pt2":
        raise refuse("is no archive of torch.export")
    models = [name for name in names if name.startswith(f"{root}/models/") and name.endswith(".json")]
    if len(models) != 1:
        raise refuse(f"holds {len(models)} programs")
    if f"{root}/byteorder" in names and record("byteorder").decode() != sys.byteorder:
        raise refuse(f"was written on a machine that is not {sys.byteorder}-endian")
    model = models[0].removeprefix(f"{root}/models/").removesuffix(".json")
    program = json.loads(file.read(models[0]))
    if program["schema_version"]["major"] != SCHEMA:
        raise refuse(f"has version {program['schema_version']['major']} of the format, not {SCHEMA}")
    stored: dict[str, Tensor] = {}
    for kind in ("weights", "constants"):
        config = f"data/{kind}/{model}_{kind}_config.json"
        if f"{root}/{config}" not in names:
            raise refuse(f"keeps its {kind} in the pickle of an older torch, which is never loaded")
        for name, payload in json.loads(record(config))["config"].items():
            if payload["use_pickle"]:
                raise refuse(f"keeps {name!r} as a pickle, which is never loaded")
            stored[name] = _tensor(record(f"data/{kind}/{payload['path_name']}"), payload["tensor_meta"])
    module = program["graph_module"]
    graph, signature = module["graph"], module["signature"]
    tensors, paths, inputs, outputs = {}, {}, [], []
    for spec in signature["input_specs"]:
        ((kind, entry),) = spec.items()
        if kind == "user_input":
            inputs.append(_value(entry["arg"], graph))
        elif kind in ("parameter", "buffer", "tensor_constant"):
            name = entry["arg"]["name"]
            paths[name] = entry[f"{kind}_name"]
            tensors[name] = stored[paths[name]]
        elif kind != "constant_input":  # a number that export has already written into the graph
            raise refuse(f"has an input that is no tensor ({kind})")
    for spec in signature["output_specs"]:
        ((kind, entry),) = spec.items()
        if kind == "user_output":
            outputs.append(_value(entry["arg"], graph))
    return Archive(path, graph, tensors, paths, tuple(inputs), tuple(outputs))


def _tensor(data: bytes, meta: dict[str, Any]) -> Tensor:
    """Raw bytes of a storage as the tensor that lies in it, on the CPU wherever it was."""
    dtype = DTYPES[meta["dtype"]]
    flat = torch.frombuffer(bytearray(data), dtype=dtype) if data else torch.empty(0, dtype=dtype)
    sizes, strides = ([entry["as_int"] for entry in meta[key]] for key in ("sizes", "strides"))
    tensor = flat.as_strided(sizes, strides, meta["storage_offset"]["as_int"])  # torch refuses what lies outside
    # Torch's recurrent kernels round otherwise when their weights need gradients, as those of the live module do.
    return nn.Parameter(tensor) if meta["requires_grad"] else tensor


def _value(argument: dict[str, Any], graph: dict[str, Any]) -> Value:
    """Return a program's input or output. One that is no tensor has no shape and an integer type."""
    ((kind, entry),) = argument.items()
    if kind != "as_tensor":
        return Value("", torch.int64, ())
    meta = graph["tensor_values"][entry["name"]]
    return Value(entry["name"], DTYPES[meta["dtype"]], tuple(size.get("as_int") for size in meta["sizes"]))
