"""What a pack needs in memory, what there is, and how an allocation that failed is told from other errors."""

import importlib.util
import os

import torch

from aelle_core.cells import Cell
from aelle_core.tasks import Supervised

_EVALUATED_SEQUENCES = 8192  # of all networks
_SHARE = 0.5  # of free memory: estimates are rough, and others need some too


def network_bytes(cell: Cell, task: Supervised, batch_size: int) -> int:
    """About how many bytes training takes for each network of a pack: an upper estimate, over all ways.

    A parameter comes with its gradient (twice, while they are gathered), Adam's two moments and their update, and
    copies of it and of the moments, from before the epoch. Every step of every sequence keeps its inputs and noise,
    its pre-activations with what they become and their adjoints, and the state with its successors.
    """
    shapes = {**cell.parameter_shapes(), "readout": (task.outputs, cell.units + 1)}
    numbers = sum(torch.Size(shape).numel() for shape in shapes.values())
    gates = max(shape[0] for shape in cell.parameter_shapes().values()) / cell.units
    per_step = (4 * gates + 6 * len(cell.parts) + cell.noise_channels) * cell.units + 2 * task.input_size
    if task.read_out_after == "every":
        per_step += 3 * task.outputs + cell.units
    return int(4 * (9 * numbers + task.steps * batch_size * per_step))


def sequences_at_once(task: Supervised, batch_size: int, networks: int) -> int:
    """Return how many sequences of each network are evaluated together, however many of a pack's `networks` are:
    with fewer networks at once they take less memory. Where every step is read out, all steps are kept, as in
    training: no more of them than in training, then."""
    return batch_size if task.read_out_after == "every" else max(batch_size, _EVALUATED_SEQUENCES // networks)


def free_bytes(device: torch.device, threads: int) -> int:
    """Memory that one pack may take: of the GPU, or of the host as if packs like it ran on all of its cores."""
    if device.type == "cuda":
        return int(_SHARE * torch.cuda.mem_get_info(device)[0])
    packs = max(1, (os.cpu_count() or 1) // threads)
    return int(_SHARE * _available() / packs)


def _available() -> int:
    """Bytes of the host's memory that can be had; without psutil (a GPU box, say) those that nothing holds at all."""
    if importlib.util.find_spec("psutil") is None:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    import psutil

    return int(psutil.virtual_memory().available)


def networks_at_once(bytes_each: int, device: torch.device) -> int:
    """Return how many networks of `bytes_each` bytes fit into free memory, at least one."""
    return max(1, free_bytes(device, torch.get_num_threads()) // bytes_each)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an allocation failed: on a GPU, in Python, or in torch's CPU allocator (a bare RuntimeError)."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
