"""Exponents that gradients flow through, and a regulariser made of them."""

from aelle_core.lyapunov.differentiable.exponents import lyapunov_exponents
from aelle_core.lyapunov.differentiable.regulariser import LyapunovRegularizer

__all__ = ["LyapunovRegularizer", "lyapunov_exponents"]
