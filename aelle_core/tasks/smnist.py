"""Row-wise sequential MNIST: 28 steps of 28 pixels."""

from pathlib import Path

import torch

from aelle_core.files.places import check_is_directory, local
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.whole_numbers import check_whole
from aelle_core.tasks.base import tasks
from aelle_core.tasks.examples import Examples, Splits, permutation
from aelle_core.tasks.idx import find_idx, read_idx
from aelle_core.tasks.supervised import Classification

_FILES = {
    "training images": ("train-images-idx3-ubyte", (60_000, 28, 28)),
    "training labels": ("train-labels-idx1-ubyte", (60_000,)),
    "test images": ("t10k-images-idx3-ubyte", (10_000, 28, 28)),
    "test labels": ("t10k-labels-idx1-ubyte", (10_000,)),
}
_SOURCE = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_HASHES = {
    "train-images-idx3-ubyte.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "md5:9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "md5:ec29112dd5afa0611ce80d1b7f02629c",
}


@tasks.register("smnist")
class SequentialMNIST(Classification):
    """MNIST images read a row per step, 28 steps of 28 pixels in [0, 1], classified after the last.

    `directory` holds the four IDX files, gzipped or not; without it they are downloaded once, with a progress bar
    and checked hashes, to the user's cache. `training_examples` limits the training set (all 50,000 by default) and
    `validation_examples` the validation set (all 10,000).
    MNIST's 60,000 training images are split by seed into 50,000 that train and 10,000 that validate; its 10,000
    test images test. LeCun, Cortes, Burges, The MNIST database.
    """

    classes = 10

    def __init__(
        self,
        *,
        seed: int = 0,
        directory: str | None = None,
        training_examples: int | None = None,
        validation_examples: int | None = None,
    ) -> None:
        super().__init__(seed=seed)
        limits = {
            "training_examples": (training_examples, 50_000),
            "validation_examples": (validation_examples, 10_000),
        }
        for label, (value, most) in limits.items():
            if value is not None:
                check_whole(f"smnist: {label}", value, 1, most)
        self.directory = directory
        self.training_examples = training_examples
        self.validation_examples = validation_examples

    @property
    def input_size(self) -> int:
        return 28

    @property
    def steps(self) -> int:
        return 28

    def check(self, batch_size: int = 1, warmup: int = 0) -> None:
        if self.directory is not None:
            self._arrays()

    def _arrays(self) -> dict[str, torch.Tensor]:
        directory = local(self.directory) if self.directory is not None else _download()
        check_is_directory(directory, "one with MNIST's four IDX files", "smnist: ")
        arrays = {}
        for label, (name, shape) in _FILES.items():
            path = find_idx(directory, name)
            array = read_idx(path)
            if array.shape != shape:
                raise UserError(f"{str(path)!r} has shape {array.shape}: MNIST's {label} have {shape}")
            arrays[label] = torch.from_numpy(array.copy())
        return arrays

    def load(self) -> Splits:
        arrays = self._arrays()
        images = arrays["training images"].float().div_(255)
        labels = arrays["training labels"].long()
        order = permutation(len(labels), self.seed)
        training, validation = order[:50_000][: self.training_examples], order[50_000:][: self.validation_examples]
        return Splits(
            Examples(images[training], labels[training]),
            Examples(images[validation], labels[validation]),
            Examples(arrays["test images"].float().div_(255), arrays["test labels"].long()),
        )


def _download() -> Path:
    import pooch

    cache = pooch.create(path=pooch.os_cache("aelle") / "mnist", base_url=_SOURCE, registry=_HASHES)
    try:
        for name in _HASHES:
            cache.fetch(name, progressbar=True)
    except Exception as error:  # pooch passes on whatever requests and urllib3 raise
        raise UserError(
            f"MNIST could not be downloaded from {_SOURCE} ({type(error).__name__}: {error}): "
            "name a directory with its four IDX files instead (task option directory=...)"
        ) from error
    return Path(cache.path)
