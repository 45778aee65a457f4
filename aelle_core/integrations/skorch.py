"""skorch calls a SpectrumCallback after each batch."""

from typing import TYPE_CHECKING, Any

from aelle_core.foundation.errors import UserError

if TYPE_CHECKING:
    from aelle_core.integrations.callback import Watch


def skorch_callback(watch: "Watch") -> Any:
    """Return a skorch callback that hands the net's module to `watch` after each training batch."""
    try:
        from skorch.callbacks import Callback
    except ImportError as error:
        raise UserError("skorch() needs skorch, which is not installed: pip install skorch") from error

    class Spectra(Callback):
        def on_batch_end(self, net: Any, batch: Any = None, training: bool = False, **kwargs: Any) -> None:
            if training:
                watch(net.module_, None)

    return Spectra()
