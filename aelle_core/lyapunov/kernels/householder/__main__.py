"""Compile the kernel into numba's cache now, not in a first call.

Run it as `python -m aelle_core.lyapunov.kernels.householder`.
"""

import torch

from aelle_core.lyapunov.kernels.householder.tangents import prepare_kernel

for dtype in (torch.float64, torch.float32):
    prepare_kernel(dtype)
