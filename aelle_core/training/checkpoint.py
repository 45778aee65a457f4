"""A pack on disk: everything that training needs to go on with the same numbers. Safetensors, no pickle."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import torch
from torch import Tensor

from aelle_core.files.atomic import read_safetensors, write_atomically
from aelle_core.files.places import Place
from aelle_core.foundation.errors import UserError
from aelle_core.training.trainer import EpochResult, Trainer

_FORMAT = "aelle-pack-2"
_CHECKSUM = "checksum"
_RESULT_FIELDS = [field.name for field in dataclasses.fields(EpochResult) if field.name != "epoch"]


class CheckpointError(UserError):
    """A checkpoint that training cannot go on from: broken, altered, or of other networks."""


def save_checkpoint(path: Place, trainer: Trainer, result: EpochResult, names: Sequence[str]) -> None:
    """Write the state of the pack after `result`'s epoch, with the names of its networks; a kill at any moment leaves
    the old file or the new one.

    The random streams start anew from the networks' seeds at every epoch, so there is no generator to save.
    """
    from safetensors.torch import save_file

    results = {f"result/{name}": getattr(result, name) for name in _RESULT_FIELDS}
    contents = {name: value.detach().cpu().contiguous() for name, value in (trainer.state() | results).items()}
    metadata = {
        **_identity(trainer),
        "epoch": str(trainer.epoch),
        "way": trainer.way_name,
        "networks_at_once": str(trainer.networks_at_once),
        "names": json.dumps(list(names)),
    }
    metadata[_CHECKSUM] = _checksum(contents, metadata)
    # The directory of checkpoints is made where it is missing, but not the run's, which may have been removed.
    write_atomically(path, lambda temporary: save_file(contents, temporary, metadata), within=path.parent.parent)


def _checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Return a hash of all that a checkpoint holds, without the hash itself."""
    digest = blake2b(digest_size=16)
    said = {name: value for name, value in metadata.items() if name != _CHECKSUM}
    digest.update(json.dumps(sorted(said.items())).encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _identity(trainer: Trainer) -> dict[str, str]:
    """Return what must be the same for training to go on."""
    return {
        "format": _FORMAT,
        "trainer": trainer.name,
        "cell": trainer.cell.name,
        "input_size": str(trainer.cell.input_size),
        "units": str(trainer.cell.units),
        "networks": json.dumps([dataclasses.asdict(settings) for settings in trainer.settings]),
    }


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read: the epoch after which the pack stood so, the way it was trained in, and how many
    networks at once (None: all); what to go on with for the same numbers to the last bit."""

    path: Place
    epoch: int
    way: str
    networks_at_once: int | None
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]

    def restore(self, trainer: Trainer, names: Sequence[str] | None = None) -> EpochResult:
        """Load the checkpoint into a new trainer of the same pack, and return its epoch's result.

        Raises CheckpointError, before the trainer is changed, when the checkpoint is of other networks (`names` in
        order, where they are given), or when a tensor is missing, too many, or has another shape or type.
        """
        for name, value in _identity(trainer).items():
            if (held := self.metadata.get(name)) != value:
                difference = "other networks" if name == "networks" else f"{name} {held}, expected {value}"
                raise CheckpointError(f"checkpoint {str(self.path)!r} is not of this pack: {difference}")
        if names is not None and self.metadata.get("names") != json.dumps(list(names)):
            raise CheckpointError(f"checkpoint {str(self.path)!r} is not of this pack: networks of other names")
        self._check_tensors(trainer)
        trainer.restore(self.tensors)
        trainer.epoch = self.epoch
        return EpochResult(self.epoch, **{name: self.tensors[f"result/{name}"] for name in _RESULT_FIELDS})

    def _check_tensors(self, trainer: Trainer) -> None:
        expected = {name: (tuple(value.shape), value.dtype) for name, value in trainer.state().items()}
        networks = (len(trainer.settings),)
        for name in _RESULT_FIELDS:
            held = self.tensors.get(f"result/{name}")
            double = held is not None and held.dtype == torch.float64  # some trainers' losses are
            kind = torch.float64 if double else torch.float32
            expected[f"result/{name}"] = (networks, torch.bool if name == "alive" else kind)
        if odd := sorted(set(expected) ^ set(self.tensors)):
            missing = "lacks" if odd[0] in expected else "has an unknown"
            raise CheckpointError(f"checkpoint {str(self.path)!r} {missing} {odd[0]}: expected all of its pack")
        for name, (shape, kind) in expected.items():
            value = self.tensors[name]
            if (tuple(value.shape), value.dtype) != (shape, kind):
                given = f"{name} of shape {tuple(value.shape)} and {value.dtype}"
                raise CheckpointError(f"checkpoint {str(self.path)!r} has {given}: expected {shape} and {kind}")


def read_checkpoint(path: Place) -> Checkpoint:
    """Read a checkpoint and check that it is as it was written (files written before checksums existed: as far as they
    tell). Raises CheckpointError naming it when it is not, UserError when it cannot be read at all."""
    try:
        tensors, metadata = read_safetensors(path, "a pack's safetensors", "checkpoint ")
    except UserError as error:
        if isinstance(error.__cause__, OSError):
            raise
        raise CheckpointError(str(error)) from error
    if not metadata.get("format", "").startswith("aelle-pack"):
        raise CheckpointError(f"checkpoint {str(path)!r} is none of this project: expected format {_FORMAT}")
    held = metadata.get(_CHECKSUM)
    if held is not None and held != _checksum(tensors, metadata):
        raise CheckpointError(f"checkpoint {str(path)!r} was altered: expected content with the checksum {held}")
    at_once = metadata.get("networks_at_once")  # no entry in files older than ways
    return Checkpoint(
        path,
        _whole(path, metadata, "epoch", 0),
        metadata.get("way", "packed"),
        None if at_once is None else _whole(path, metadata, "networks_at_once", 1),
        tensors,
        metadata,
    )


def _whole(path: Place, metadata: Mapping[str, str], name: str, low: int) -> int:
    text = metadata.get(name, "none")
    if not text.isdecimal() or int(text) < low:
        raise CheckpointError(f"checkpoint {str(path)!r} says {name} {text!r}: expected a whole number from {low}")
    return int(text)


def load_checkpoint(path: Place, trainer: Trainer) -> EpochResult:
    """Load a checkpoint into a new trainer of the same pack, and return its epoch's result.

    Raises CheckpointError naming the file when it is broken or belongs to other networks.
    """
    return read_checkpoint(path).restore(trainer)
