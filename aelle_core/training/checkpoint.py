"""A pack on disk: everything that training needs to go on with the same numbers. Safetensors, no pickle."""

import dataclasses
import json
from collections.abc import Sequence

from aelle_core.files.atomic import read_metadata, read_safetensors, write_atomically
from aelle_core.files.places import Place
from aelle_core.foundation.errors import UserError
from aelle_core.training.trainer import EpochResult, Trainer

_FORMAT = "aelle-pack-2"
_RESULT_FIELDS = [field.name for field in dataclasses.fields(EpochResult) if field.name != "epoch"]


def save_checkpoint(path: Place, trainer: Trainer, result: EpochResult, names: Sequence[str]) -> None:
    """Write the pack as it is after `result`'s epoch, with the names of its networks; a kill at any moment leaves
    the old file or the new one.

    The random streams start anew from the networks' seeds at every epoch, so there is no generator to save.
    """
    from safetensors.torch import save_file

    results = {f"result/{name}": getattr(result, name) for name in _RESULT_FIELDS}
    tensors = {**trainer.state(), **results}
    metadata = {
        **_identity(trainer),
        "epoch": str(trainer.epoch),
        "way": trainer.way_name,
        "networks_at_once": str(trainer.networks_at_once),
        "names": json.dumps(list(names)),
    }
    contents = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    # The directory of checkpoints is made where it is missing, but not the run's, which may have been removed.
    write_atomically(path, lambda temporary: save_file(contents, temporary, metadata), within=path.parent.parent)


def _identity(trainer: Trainer) -> dict[str, str]:
    """What must be the same for training to go on."""
    return {
        "format": _FORMAT,
        "trainer": trainer.name,
        "cell": trainer.cell.name,
        "input_size": str(trainer.cell.input_size),
        "units": str(trainer.cell.units),
        "networks": json.dumps([dataclasses.asdict(each) for each in trainer.settings]),
    }


def recorded_way(path: Place) -> tuple[str, int | None]:
    """The way that the checkpoint's pack was trained in, and how many networks at once (None: all): what to go on with
    for the same numbers to the last bit.

    Raises UserError naming the file when it is broken.
    """
    metadata = read_metadata(path, "a pack's safetensors", "checkpoint ")
    at_once = metadata.get("networks_at_once")
    return metadata.get("way", "packed"), None if at_once is None else int(at_once)  # no entry in files older than ways


def load_checkpoint(path: Place, trainer: Trainer) -> EpochResult:
    """Bring a new trainer of the same pack to where the checkpoint stands, and return that epoch's result.

    Raises UserError naming the file when it is broken or belongs to other networks.
    """
    tensors, metadata = read_safetensors(path, "a pack's safetensors", "checkpoint ")
    for name, value in _identity(trainer).items():
        if (held := metadata.get(name)) != value:
            difference = "other networks" if name == "networks" else f"{name} {held}, expected {value}"
            raise UserError(f"checkpoint {str(path)!r} is not of this pack: {difference}")
    trainer.restore(tensors)
    trainer.epoch = int(metadata["epoch"])
    return EpochResult(trainer.epoch, **{name: tensors[f"result/{name}"] for name in _RESULT_FIELDS})
