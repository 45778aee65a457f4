"""Networks and sequences from files, for the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from aelle_core.cells import Network, from_torch, get_cell
from aelle_core.errors import UserError
from aelle_core.files import read_safetensors
from aelle_core.study.directory import RunDirectory
from aelle_core.tasks import get_task

_GATES: dict[int, Callable[..., nn.RNNBase]] = {1: nn.RNN, 3: nn.GRU, 4: nn.LSTM}


def load_network(path: Path, name: str | None = None) -> Network | nn.RNNBase:
    """A network from a safetensors file: `name` of a pack's checkpoint, or a torch RNN, GRU or LSTM whose
    state_dict was saved (alone or as the only recurrent layer of a module).

    Raises UserError naming the file when it is neither, or when a pack needs a name.
    """
    tensors, metadata = read_safetensors(path, "a safetensors file")
    if metadata.get("format", "").startswith("aelle-pack"):
        return _from_pack(path, name, metadata, tensors)
    if name is not None:
        raise UserError(f"network {name!r}: {str(path)!r} is no checkpoint of this project; expected no name")
    return _from_state_dict(path, tensors)


def _from_pack(path: Path, name: str | None, metadata: dict[str, str], tensors: dict[str, Tensor]) -> Network:
    names = json.loads(metadata["names"])
    if name not in names:
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        raise UserError(f"network {name!r}: expected one of the {len(names)} in {str(path)!r}: {shown}")
    index = names.index(name)
    cell = get_cell(metadata["cell"], int(metadata["input_size"]), int(metadata["units"]))
    parameters = {key: tensors[f"parameters/{key}"][index] for key in cell.parameter_shapes()}
    return Network(cell, parameters, json.loads(metadata["networks"])[index]["constants"])


def _from_state_dict(path: Path, tensors: dict[str, Tensor]) -> nn.RNNBase:
    prefixes = {key.removesuffix("weight_hh_l0") for key in tensors if key.endswith("weight_hh_l0")}
    if len(prefixes) != 1:
        raise UserError(
            f"{str(path)!r} holds {len(prefixes)} recurrent layers: expected the state_dict of one torch RNN, GRU or "
            "LSTM (weight_ih_l0, weight_hh_l0, ...)"
        )
    prefix = prefixes.pop()
    state = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    if any("reverse" in key or "weight_hr" in key for key in state):
        raise UserError(f"{str(path)!r} is bidirectional or has projections: expected a plain recurrent layer")
    rows, units = state["weight_hh_l0"].shape
    gates = rows // units
    if gates not in _GATES or rows != gates * units:
        raise UserError(f"{str(path)!r}: weight_hh_l0 has shape ({rows}, {units}): expected 1, 3 or 4 times the units")
    layers = sum(key.startswith("weight_hh_l") for key in state)
    layer = _GATES[gates](
        state["weight_ih_l0"].shape[1], units, num_layers=layers, bias="bias_hh_l0" in state, batch_first=True
    )
    layer.load_state_dict({key: value for key, value in state.items() if key in dict(layer.named_parameters())})
    from_torch(layer)
    return layer


def load_sequences(path: Path | None, weights: Path) -> np.ndarray | Tensor:
    """Sequences (batch, time, features) from an .npy file; without one, those that the run of a checkpoint used.

    Raises UserError when the file is no array, or when there is neither a file nor a run.
    """
    if path is None:
        run = RunDirectory(weights.parent.parent)
        if not run.settings.exists():
            raise UserError(f"no inputs for {str(weights)!r}: expected --inputs with an .npy (batch, time, features)")
        study = run.study()
        task = get_task(study.task, seed=study.seed, options=study.task_options)
        return task.splits.validation.inputs[: study.spectrum_sequences]
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{str(path)!r} cannot be read ({error}): expected an .npy (batch, time, features)") from error
