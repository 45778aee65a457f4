"""Lyapunov spectra of recurrent networks and of any other differentiable map."""

from aelle_core.lyapunov.closed_loop import ClosedLoop
from aelle_core.lyapunov.result import LyapunovSpectrum
from aelle_core.lyapunov.spectrum import lyapunov_spectrum, pack_spectra

__all__ = ["ClosedLoop", "LyapunovSpectrum", "lyapunov_spectrum", "pack_spectra"]
