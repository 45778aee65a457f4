"""An exported program step(x, state) -> state."""

import copy

import numpy as np
import torch
from torch import Tensor, nn

from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError
from aelle_core.loading.torch_export.archive import Value
from aelle_core.loading.torch_export.program import AbsentError, ExportedModule


class ExportedStep(nn.Module):
    """step(x, state) -> state over a program that maps inputs and parts of a state, such as h and c, to the new parts.

    States are (batch, state_size), the parts side by side. Export fixes the batch size unless another is given: such a
    program sees a larger batch in pieces of that size, unless a trial shows that it does the same to all rows at once,
    which is faster. Everything runs in the type of the states: real types that were written into the graph are taken
    for that one.
    """

    def __init__(self, program: ExportedModule, parts: tuple[Value, ...]) -> None:
        super().__init__()
        self.program = program
        self.driven = len(program.inputs) > len(parts)
        self.parts = parts
        self.sizes = [int(part.shape[1] or 0) for part in parts]
        batches = [value.shape[0] for value in program.inputs if value.shape[0] is not None]
        self.batch = max(batches, default=None)
        if self.batch is not None and copy.deepcopy(self).double()._takes_any_batch(3 * self.batch):
            self.batch = None

    @property
    def state_size(self) -> int:
        """Numbers in a state."""
        return sum(self.sizes)

    def forward(self, x: Tensor | None, state: Tensor) -> Tensor:
        """Return the new state (batch, state_size) from x (batch, features), None for an autonomous map."""
        if self.batch is None or len(state) == self.batch:
            return self._new_state(x, state)
        if len(state) % self.batch:
            raise RuntimeError(f"the program was exported for batches of {self.batch}, not of {len(state)}")
        xs = [None] * (len(state) // self.batch) if x is None else x.split(self.batch)
        pieces = zip(xs, state.split(self.batch), strict=True)
        return torch.cat([self._new_state(entry, piece) for entry, piece in pieces])

    def _new_state(self, x: Tensor | None, state: Tensor) -> Tensor:
        given = dict(zip((part.name for part in self.parts), state.split(self.sizes, dim=-1), strict=True))
        if x is not None:
            given[self.program.inputs[0].name] = x
        values = self.program.values(given, floats=state.dtype)
        try:
            return torch.cat([values[output.name] for output in self.program.outputs], dim=-1)
        except AbsentError as error:
            raise RuntimeError(str(error)) from error

    def _takes_any_batch(self, rows: int) -> bool:
        """Whether `rows` rows come out of one large batch as they come out of several of the program's own."""
        chance = torch.Generator().manual_seed(0)
        state = torch.randn(rows, self.state_size, dtype=torch.float64, generator=chance)
        x = None
        if self.driven:
            x = torch.randn(rows, self.program.inputs[0].shape[1] or 1, dtype=torch.float64, generator=chance)
        try:
            whole = self._new_state(x, state)
            return whole.shape == state.shape and torch.allclose(whole, self(x, state), rtol=1e-9, atol=1e-9)
        except RuntimeError:
            return False


def step_program(program: ExportedModule) -> ExportedStep | None:
    """Return the program as a step: of x (batch, features) and the parts of a state (batch, size) to new parts of the
    same shapes, or without x; None when its inputs and outputs are not of that kind.

    Raises UserError when it is a step, but one that cannot be run without side effects, chance or foreign operations.
    """
    count = len(program.outputs)
    parts, driving = program.inputs[len(program.inputs) - count :], program.inputs[: len(program.inputs) - count]
    real = all(value.dtype.is_floating_point and len(value.shape) == 2 for value in (*program.inputs, *program.outputs))
    if not count or len(parts) != count or len(driving) > 1 or not real:
        return None
    same = all(old.shape == new.shape for old, new in zip(parts, program.outputs, strict=True))
    if not same or any(value.shape[1] is None for value in program.inputs):
        return None
    for node in program.nodes:
        name = node.target.removeprefix("torch.ops.")
        if node.function is None:
            why = f"it calls {name}, which is not one of torch's own tensor operations"
        elif node.draws:
            why = f"it draws random numbers ({name})"
        elif node.mutates and any(_is_memory(program.paths.get(given, "")) for given in node.inputs[:1]):
            why = f"it keeps a state of its own in {program.paths[node.inputs[0]]!r}"
        else:
            continue
        raise UserError(f"{str(program.path)!r} cannot be used as a step: {why}; expected a function of x and state")
    return ExportedStep(program, parts)


def _is_memory(path: str) -> bool:
    """Whether changing the tensor at that path of the module matters: batch normalisation only counts there."""
    return bool(path) and not path.endswith("num_batches_tracked")


def starting_state(step: ExportedStep, path: str, inputs: np.ndarray | None, given: np.ndarray | None) -> Tensor:
    """Return the state (batch, state_size) to start from: `given`, or zeros for as many sequences as there are inputs.

    Raises UserError when the shapes do not fit the inputs or the batch for which the program was exported.
    """
    if inputs is None and step.driven:
        raise UserError(f"no inputs for {path!r}: expected --inputs with an .npy (batch, time, features)")
    if inputs is not None and not step.driven:
        raise UserError(f"inputs were given: {path!r} maps a state alone; expected --steps and --initial-state")
    if given is None and inputs is None:
        raise UserError(
            f"no state to start {path!r} from: expected --initial-state, an .npy (batch, {step.state_size})"
        )
    if inputs is not None:
        expected = step.program.inputs[0].shape[1]
        if inputs.ndim != 3 or 0 in inputs.shape or expected not in (None, inputs.shape[2]):
            raise UserError(f"inputs have shape {inputs.shape}: {path!r} takes (batch, time, {expected})")
    if given is not None and (given.ndim != 2 or 0 in given.shape or given.shape[1] != step.state_size):
        raise UserError(f"the initial state has shape {given.shape}: {path!r} needs (batch, {step.state_size})")
    sequences = 0 if inputs is None else len(inputs)
    zeros = torch.zeros(sequences, step.state_size, dtype=torch.float64)
    state = zeros if given is None else torch.from_numpy(given)
    if step.batch is not None and len(state) % step.batch:
        raise UserError(
            f"{counted(len(state), 'sequence')} {'was' if len(state) == 1 else 'were'} given: {path!r} was exported "
            f"for batches of {step.batch}; expected a multiple of that, or a program exported with a batch of any size "
            "(dynamic_shapes)"
        )
    return state
