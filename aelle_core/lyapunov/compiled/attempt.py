"""Whether a step function is compiled, and whether what was compiled does the same."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from aelle_core.lyapunov.compiled.graph import NotCompilableError

if TYPE_CHECKING:
    from aelle_core.lyapunov.compiled.machine_step import MachineStep
    from aelle_core.lyapunov.systems.step import StepSystem

LARGEST = 128
"""Dimensions beyond which torch's products on batches are as fast."""
_FEWEST_STEPS = 256
_TRIED = 3  # steps that are compared
_CLOSE = 1e-9  # relative: what the order of sums changes


def worth_compiling(system: "StepSystem", steps: int) -> bool:
    """Return whether so many steps take longer in Python than tracing and compiling do."""
    like = system.like
    return (
        steps >= _FEWEST_STEPS
        and system.size <= LARGEST
        and system.any_batch
        and like.dtype == torch.float64
        and like.device.type == "cpu"
    )


def compiled_step(system: "StepSystem") -> "MachineStep":
    """Return the step as machine code, compared with the function on its first states and beside them.

    Raises NotCompilableError where it cannot be traced, or gives other numbers.
    """
    try:
        from aelle_core.lyapunov.compiled.machine_step import MachineStep
        from aelle_core.lyapunov.compiled.trace import trace
    except ImportError as error:
        raise NotCompilableError(str(error)) from error
    graph = trace(system.step, system.input_at(0, slice(1)), system.initial_state[:1])
    program = MachineStep(graph, system.disturbance)
    state = system.initial_state
    source = torch.Generator().manual_seed(0)
    beside = state + 1e-2 * (1 + state.abs()) * torch.empty_like(state).normal_(generator=source)
    steps = _TRIED if system.inputs is None else min(_TRIED, system.inputs.shape[1])
    for start in (state, beside):
        expected = system.in_python(steps, start)
        if not bool(expected[0].isfinite().all()):
            continue  # beside the states that the function takes
        inputs = None if system.inputs is None else system.inputs[:, :steps]
        results = program.run(start, inputs, steps, [False] * system.sequences, 0)
        for what, computed, true in zip(("states", "derivatives"), results, expected, strict=True):
            if not same_numbers(computed, true):
                raise NotCompilableError(f"its compiled {what} are not the function's own")
    return program


def same_numbers(computed: Tensor, expected: Tensor) -> bool:
    """Return whether two results of one computation, of any shape, differ by rounding alone; infinite and NaN are
    equal."""
    scale = expected.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0).abs().amax()
    return torch.allclose(computed, expected, rtol=1e-6, atol=_CLOSE * float(scale) + 1e-300, equal_nan=True)
