"""Networks and sequences from files, for the command line."""

import functools
import json
import tokenize
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from aelle_core.cells import Network, from_torch, get_cell
from aelle_core.files.atomic import read_safetensors
from aelle_core.files.npy import check_size
from aelle_core.files.places import Place, check_is_file, local
from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError, first_line
from aelle_core.loading.torch_export import ExportedStep, load_exported
from aelle_core.study.directory import RunDirectory
from aelle_core.tasks import get_task

_GATES: dict[int, Callable[..., nn.RNNBase]] = {1: nn.RNN, 3: nn.GRU, 4: nn.LSTM}
_DAMAGE = (ValueError, EOFError, SyntaxError, TypeError, OverflowError, KeyError, tokenize.TokenError)
"""What NumPy raises on damaged headers, which it reads as Python."""
_PICKLES = {".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle", ".tar"}
_A_FILE = "a network in a .safetensors or .pt2 file"
_ENDINGS = (
    ".safetensors (safetensors.torch.save_file of a state_dict, or a checkpoint of this project) or .pt2 "
    "(torch.export.save)"
)


@dataclass(frozen=True)
class Loaded:
    """What a spectrum is taken of: `system`, `inputs` and `initial_state` as `lyapunov_spectrum` takes them, and
    `title`, the network in a few words."""

    system: Network | nn.Module
    inputs: np.ndarray | Tensor | None
    initial_state: np.ndarray | Tensor | tuple[Tensor, Tensor] | None
    title: str

    @property
    def steps(self) -> int | None:
        """How many steps the inputs last; None without inputs, or where they are no sequences."""
        return None if self.inputs is None or self.inputs.ndim < 2 else int(self.inputs.shape[1])

    def to(self, device: torch.device | None) -> "Loaded":
        """Return the same with a step function's own tensors on that device; `lyapunov_spectrum` moves all else."""
        if device is None or not isinstance(self.system, ExportedStep):
            return self
        return replace(self, system=self.system.to(device))


def load(
    path: Place,
    inputs: Path | None,
    *,
    network: str | None = None,
    layer: str | None = None,
    initial_state: Path | None = None,
    nonlinearity: str | None = None,
) -> Loaded:
    """Return a network with its sequences: from a safetensors file or from a program of torch.export.

    inputs         an .npy file (batch, time, features), or whatever a program's forward takes first; a network of a
                   run needs none
    network        which network of a checkpoint
    layer          which recurrent layer of several
    initial_state  an .npy file (batch, state_size); by default zeros, or the checkpoint's own, or what a program gives
                   its recurrent layer
    nonlinearity   "tanh" or "relu", of a torch RNN's state_dict, which does not say

    Raises UserError naming what was given and expected. No pickle is ever loaded.
    """
    check_is_file(path, _A_FILE)
    start: np.ndarray | Tensor | None
    start = None if initial_state is None else load_array(initial_state, "(batch, state_size)")
    if path.suffix == ".pt2":
        if network is not None:
            raise UserError(f"network {network!r}: {str(path)!r} is no checkpoint of this project; expected no name")
        if not isinstance(path, Path):
            raise UserError(f"{str(path)!r} is a program at an address: expected one in a file of this machine")
        arrays = None if inputs is None else load_array(inputs, "(batch, time, features)")
        system, received, own_start = load_exported(path, arrays, layer, start)
        return Loaded(system, received, own_start, _title(system))
    loaded, own_start = load_network(path, network, layer, nonlinearity)
    sequences = load_sequences(inputs, path)
    if start is None and own_start is not None:
        start = own_start.expand(len(sequences), -1)
    return Loaded(loaded, sequences, start, _title(loaded))


def load_network(
    path: Place, name: str | None = None, layer: str | None = None, nonlinearity: str | None = None
) -> tuple[Network | nn.RNNBase, Tensor | None]:
    """Return a network from a safetensors file, and the state (1, state_size) that it starts from where the file has
    one.

    The network is `name` of a pack's checkpoint, or a torch RNN, GRU or LSTM whose state_dict was saved, alone or as a
    `layer` of a module (by its path; not needed where there is one only).

    A state_dict does not say an RNN's nonlinearity: `nonlinearity`, "tanh" or "relu", does, or an entry of that name
    in the file's metadata. Raises UserError naming the file when it is neither, when a pack needs a name, an RNN a
    nonlinearity, and when the layer has tensors that torch's layer has not, lacks one, or holds no real numbers.
    """
    check_is_file(path, _A_FILE)
    if path.suffix in _PICKLES:
        raise UserError(f"{str(path)!r} may be a pickle, which is never loaded: expected {_ENDINGS}")
    if path.suffix != ".safetensors":
        raise UserError(f"{str(path)!r} ends in {path.suffix!r}: expected {_ENDINGS}")
    tensors, metadata = read_safetensors(path, "a safetensors file")
    if metadata.get("format", "").startswith("aelle-pack"):
        if layer is not None:
            raise UserError(f"layer {layer!r}: {str(path)!r} holds networks of one layer; expected no layer")
        return _from_pack(path, name, metadata, tensors)
    if name is not None:
        raise UserError(f"network {name!r}: {str(path)!r} is no checkpoint of this project; expected no name")
    return _from_state_dict(path, tensors, layer, nonlinearity or metadata.get("nonlinearity")), None


def _from_pack(
    path: Place, name: str | None, metadata: dict[str, str], tensors: dict[str, Tensor]
) -> tuple[Network, Tensor | None]:
    try:
        return _network_of(path, name, metadata, tensors)
    except UserError:
        raise
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, RuntimeError, OverflowError) as error:
        raise UserError(
            f"checkpoint {str(path)!r} is not whole ({type(error).__name__}: {first_line(error)}): expected one that a "
            "study wrote"
        ) from error


def _network_of(
    path: Place, name: str | None, metadata: dict[str, str], tensors: dict[str, Tensor]
) -> tuple[Network, Tensor | None]:
    names = json.loads(metadata["names"])
    if name not in names:
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        raise UserError(f"network {name!r}: expected one of the {len(names)} in {str(path)!r}: {shown}")
    index = names.index(name)
    cell = get_cell(metadata["cell"], int(metadata["input_size"]), int(metadata["units"]))
    parameters = {key: tensors[f"parameters/{key}"][index] for key in cell.parameter_shapes()}
    start = tensors["initial_state"][index] if "initial_state" in tensors else None
    return Network(cell, parameters, json.loads(metadata["networks"])[index]["constants"]), start


def _from_state_dict(
    path: Place, tensors: dict[str, Tensor], layer: str | None, nonlinearity: str | None
) -> nn.RNNBase:
    prefixes = sorted(key.removesuffix("weight_hh_l0") for key in tensors if key.endswith("weight_hh_l0"))
    names = [prefix.removesuffix(".") for prefix in prefixes]
    if layer is not None and layer not in names:
        raise UserError(f"layer {layer!r}: {str(path)!r} has the recurrent layers {names or 'none'}")
    if layer is None and len(prefixes) != 1:
        expected = f"--layer, one of {names}" if prefixes else "the state_dict of a torch RNN, GRU or LSTM"
        raise UserError(
            f"{str(path)!r} holds {len(prefixes)} recurrent layers (weight_hh_l0, ...): expected {expected}"
        )
    prefix = prefixes[0 if layer is None else names.index(layer)]
    state = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    if any("reverse" in key or "weight_hr" in key for key in state):
        raise UserError(f"{str(path)!r} is bidirectional or has projections: expected a plain recurrent layer")
    if odd := next((key for key, value in state.items() if not value.is_floating_point()), None):
        raise UserError(f"{str(path)!r}: {odd} holds {state[odd].dtype}: expected real numbers in floating point")
    shape = tuple(state["weight_hh_l0"].shape)
    gates = shape[0] // shape[1] if len(shape) == 2 and shape[1] else 0
    if gates not in _GATES or shape[0] != gates * shape[1]:
        raise UserError(f"{str(path)!r}: weight_hh_l0 has shape {shape}: expected 1, 3 or 4 times the units")
    for key, value in state.items():
        if not value.is_floating_point():
            raise UserError(
                f"{str(path)!r}: {prefix}{key} has dtype {value.dtype}: expected real floating-point numbers"
            )
    layers = sum(key.startswith("weight_hh_l") for key in state)
    try:
        width, biased = state["weight_ih_l0"].shape[1], any(key.startswith("bias_") for key in state)
        options = {"nonlinearity": _checked_nonlinearity(path, nonlinearity)} if gates == 1 else {}
        built = _GATES[gates](width, shape[1], num_layers=layers, bias=biased, batch_first=True, **options)
        built.to(functools.reduce(torch.promote_types, {value.dtype for value in state.values()}))
        _check_names(path, prefix, set(state), {key for key, _ in built.named_parameters()})
        built.load_state_dict(state)
    except (KeyError, IndexError, RuntimeError) as error:
        what = str(error).splitlines()[-1].strip()
        raise UserError(f"{str(path)!r} is no state_dict of a torch RNN, GRU or LSTM: {what}") from error
    from_torch(built)
    return built


def _checked_nonlinearity(path: Place, given: str | None) -> str:
    if given not in ("tanh", "relu"):
        said = f"nonlinearity {given!r} was given" if given else "its file does not say which nonlinearity it has"
        raise UserError(f"{str(path)!r} holds an RNN, and {said}: expected --nonlinearity tanh or relu")
    return given


def _check_names(path: Place, prefix: str, given: set[str], expected: set[str]) -> None:
    """Raise UserError when a layer has tensors that torch's has not, or lacks one: it computes something else."""
    if missing := sorted(expected - given):
        raise UserError(
            f"{str(path)!r} is no state_dict of a torch RNN, GRU or LSTM: {prefix}{missing[0]} is missing beside "
            f"{', '.join(sorted(given)[:4])}; expected it, of zeros where the layer has one bias alone"
        )
    if unknown := sorted(given - expected):
        raise UserError(
            f"{str(path)!r} holds {prefix}{unknown[0]}, which torch's layer has not: expected a plain RNN, GRU or "
            "LSTM, or the program of the whole module (torch.export)"
        )


def load_sequences(path: Path | None, weights: Place) -> np.ndarray | Tensor:
    """Sequences (batch, time, features) from an .npy file; without one, those that the run of a checkpoint used.

    Raises UserError when the file is no array, or when there is neither a file nor a run.
    """
    if path is not None:
        return load_array(path, "(batch, time, features)")
    run = RunDirectory(weights.parent.parent)
    if not run.settings.exists():
        raise UserError(f"no inputs for {str(weights)!r}: expected --inputs with an .npy (batch, time, features)")
    study = run.study()
    task = get_task(study.task, seed=study.seed, options=study.task_options).found_with(run.path)
    return task.spectrum_inputs(study.spectrum_sequences)


def load_array(path: Path, shape: str) -> np.ndarray:
    """Return real numbers of any shape from an .npy file, in the machine's byte order; `shape` is what the message
    names as expected.

    Raises UserError naming the file when it is missing, no .npy file, an array of objects (a pickle), or no numbers.
    """
    wanted = f"an .npy of real numbers {shape}"
    expected = f"expected {wanted}"
    path = local(path)
    check_is_file(path, wanted)
    try:
        with path.open("rb") as file:
            if file.read(6) != b"\x93NUMPY":
                raise UserError(f"{str(path)!r} is no .npy file: {expected}, as numpy.save writes it")
            file.seek(0)
            check_size(file)
            file.seek(0)
            loaded = np.load(file, allow_pickle=False)
    except OSError as error:
        raise UserError(f"{str(path)!r} cannot be read ({error.strerror or error}): {expected}") from error
    except UserError:
        raise
    except _DAMAGE as error:
        why = "holds pickled objects, which are never loaded" if "pickle" in str(error) else f"is damaged ({error})"
        raise UserError(f"{str(path)!r} {why}: {expected}") from error
    if loaded.dtype.kind not in "iuf":
        raise UserError(f"{str(path)!r} holds {loaded.dtype}: {expected}")
    real = np.float64 if loaded.dtype.kind == "f" and loaded.dtype.itemsize > 8 else loaded.dtype.newbyteorder("=")
    return np.ascontiguousarray(loaded, dtype=real)


def _title(system: Network | nn.Module) -> str:
    """Return a network in a few words."""
    if isinstance(system, Network):
        cell = system.cell
        return f"{cell.name}, {counted(cell.input_size, 'input')}, {counted(cell.units, 'unit')}"
    if isinstance(system, nn.RNNBase):
        kind = f"RNN ({getattr(system, 'nonlinearity', 'tanh')})" if system.mode.startswith("RNN") else system.mode
        layers = f", {system.num_layers} layers" if system.num_layers > 1 else ""
        return f"{kind}, {counted(system.input_size, 'input')}, {counted(system.hidden_size, 'unit')}{layers}"
    assert isinstance(system, ExportedStep)
    return f"exported step function, state of {counted(system.state_size, 'number')}"
