"""Lyapunov spectra of recurrent networks, and AeLLE: a latent space in which good networks stand apart.

The public names are listed here once and imported on first use, so that `import aelle_core` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aelle_core.aelle.estimator import AeLLE
    from aelle_core.cells import get_cell
    from aelle_core.integrations.callback import SpectrumCallback
    from aelle_core.lyapunov import ClosedLoop, LyapunovSpectrum, lyapunov_spectrum
    from aelle_core.lyapunov.differentiable import LyapunovRegularizer, lyapunov_exponents
    from aelle_core.pretrained import load_spectra
    from aelle_core.screening import screen
    from aelle_core.store.dataset import SpectraStore
    from aelle_core.study import Study
    from aelle_core.tasks import get_task

__version__ = "0.1.0"

_HOMES = {
    "AeLLE": "aelle_core.aelle.estimator",
    "ClosedLoop": "aelle_core.lyapunov",
    "LyapunovRegularizer": "aelle_core.lyapunov.differentiable",
    "LyapunovSpectrum": "aelle_core.lyapunov",
    "SpectraStore": "aelle_core.store.dataset",
    "SpectrumCallback": "aelle_core.integrations.callback",
    "Study": "aelle_core.study",
    "get_cell": "aelle_core.cells",
    "get_task": "aelle_core.tasks",
    "load_spectra": "aelle_core.pretrained",
    "lyapunov_exponents": "aelle_core.lyapunov.differentiable",
    "lyapunov_spectrum": "aelle_core.lyapunov",
    "screen": "aelle_core.screening",
}

__all__ = [
    "AeLLE",
    "ClosedLoop",
    "LyapunovRegularizer",
    "LyapunovSpectrum",
    "SpectraStore",
    "SpectrumCallback",
    "Study",
    "get_cell",
    "get_task",
    "load_spectra",
    "lyapunov_exponents",
    "lyapunov_spectrum",
    "screen",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'aelle_core' has no attribute {name!r}; it offers {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)
