"""Compile the kernel now, not in a first call, and lay its code beside the package for all who use it.

Run it as `python -m aelle_core.lyapunov.kernels.householder`.
"""

import torch

from aelle_core.lyapunov.kernels.householder.algorithm import advance
from aelle_core.lyapunov.kernels.householder.kept import prepare_for_all
from aelle_core.lyapunov.kernels.householder.tangents import prepare_kernel

for dtype in (torch.float64, torch.float32):
    prepare_kernel(dtype)
if not prepare_for_all(advance.stats.cache_path):
    print("the package's directory cannot be written: the code is in this user's cache alone")
