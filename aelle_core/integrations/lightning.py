"""PyTorch Lightning calls a SpectrumCallback after each batch."""

from typing import TYPE_CHECKING, Any

from aelle_core.foundation.errors import UserError

if TYPE_CHECKING:
    from aelle_core.integrations.callback import Watch


def lightning_callback(watch: "Watch") -> Any:
    """Return a Lightning callback that hands the module to `watch` after each training batch."""
    try:
        from lightning.pytorch import Callback
    except ImportError as error:
        raise UserError("lightning() needs lightning, which is not installed: pip install lightning") from error

    class Spectra(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            watch(pl_module, trainer.global_step - 1)

    return Spectra()
