"""Programs of torch.export (.pt2), read without unpickling or evaluating anything that is in the file.

archive     from the file to plain data and tensors
program     runs the graph, operation by operation
recurrent   the torch RNN, GRU or LSTM inside a program, and what it receives
step        a program step(x, state) -> state
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from aelle_core.foundation.errors import UserError
from aelle_core.loading.torch_export.archive import read_archive
from aelle_core.loading.torch_export.program import ExportedModule
from aelle_core.loading.torch_export.recurrent import LayerState, has_recurrent_layer, recurrent_layer
from aelle_core.loading.torch_export.step import ExportedStep, starting_state, step_program

__all__ = ["ExportedStep", "load_exported"]


def load_exported(
    path: Path, inputs: np.ndarray | None, layer: str | None = None, initial_state: np.ndarray | None = None
) -> tuple[nn.RNNBase | ExportedStep, Tensor | np.ndarray | None, LayerState | np.ndarray | None]:
    """Return what `lyapunov_spectrum` needs of a program: the system, its inputs and its initial state.

    The system is the torch RNN, GRU or LSTM that the program holds, on what that layer receives when the program runs
    on `inputs`; or the program itself when its forward is step(x, state) -> state (of several parts, perhaps), or a map
    state -> state without inputs.

    Raises UserError, naming the file, when it is neither, or when inputs or state do not fit it.
    """
    archive = read_archive(path)
    try:
        with torch.no_grad():
            return _load(ExportedModule(archive), path, inputs, layer, initial_state)
    except UserError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, StopIteration) as error:
        raise UserError(f"{str(path)!r} is damaged: its graph cannot be followed ({error!r})") from error


def _load(
    program: ExportedModule, path: Path, inputs: np.ndarray | None, layer: str | None, initial_state: np.ndarray | None
) -> tuple[nn.RNNBase | ExportedStep, Tensor | np.ndarray | None, LayerState | np.ndarray | None]:
    step = step_program(program)
    if step is not None and (step.driven or not has_recurrent_layer(program)):
        if layer is not None:
            raise UserError(f"layer {layer!r}: {str(path)!r} is a step function; expected no layer")
        return step, inputs, starting_state(step, str(path), inputs, initial_state)
    if not has_recurrent_layer(program):
        taken, returned = (", ".join(map(str, values)) or "nothing" for values in (program.inputs, program.outputs))
        raise UserError(
            f"{str(path)!r} takes {taken} and returns {returned}: expected a program that holds a torch RNN, GRU or "
            "LSTM (not one unrolled by run_decompositions), or a step of x (batch, features) and state (batch, size) "
            "to a state of that shape"
        )
    system, sequences, start = recurrent_layer(program, inputs, layer)
    return system, sequences, start if initial_state is None else initial_state
