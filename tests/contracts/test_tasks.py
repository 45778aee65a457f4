"""What every registered task must do. Tasks that need files get small ones made here."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from aelle_core.foundation.errors import UserError
from aelle_core.tasks import Supervised, Task, cross_entropy, get_task, tasks
from aelle_core.tasks.arrays import keep_arrays
from aelle_core.testing import TASK_CHECKS


def make(name: str, mnist: Path, seed: int = 0) -> Task:
    own = np.random.default_rng(0).random((30, 6, 2))
    options = {
        "smnist": {"directory": str(mnist)},
        "arrays": {"data": keep_arrays(own, np.arange(30) % 3, at=mnist.parent / "arrays")},
    }
    return get_task(name, seed=seed, options=options.get(name))


@pytest.fixture(params=list(tasks))
def any_task(request: pytest.FixtureRequest, mnist_directory: Path) -> Task:
    return make(request.param, mnist_directory)


@pytest.fixture(params=[name for name, kind in tasks.items() if issubclass(kind, Supervised)])
def task(request: pytest.FixtureRequest, mnist_directory: Path) -> Supervised:
    made = make(request.param, mnist_directory)
    assert isinstance(made, Supervised)
    return made


@pytest.mark.parametrize("name", list(tasks))
@pytest.mark.parametrize("check", TASK_CHECKS.values(), ids=list(TASK_CHECKS))
def test_contract(name: str, check: Callable[[Callable[[int], Task]], None], mnist_directory: Path) -> None:
    check(lambda seed: make(name, mnist_directory, seed))


@pytest.mark.parametrize("classes", [2, 10, 82])
def test_cross_entropy_is_the_mean_over_the_rows_for_each_network(classes: int) -> None:
    scores = torch.zeros(3, 4, classes)
    targets = torch.zeros(3, 4, dtype=torch.int64)
    scores[1, :, 0] = 100.0
    losses = cross_entropy(scores, targets)
    uniform = float(np.log(classes))
    torch.testing.assert_close(losses, torch.tensor([uniform, 0.0, uniform]))


def test_unknown_task_and_option_are_refused() -> None:
    with pytest.raises(UserError, match=r"unknown task 'mnsit'.*did you mean 'smnist'"):
        get_task("mnsit")
    with pytest.raises(UserError, match="'colour'"):
        get_task("digits", options={"colour": 1})


@pytest.mark.parametrize(
    ("options", "message"),
    [({"pixels": 5}, "pixels=5: expected a divisor of 64"), ({"delay": -1}, "delay=-1: expected a whole number")],
)
def test_digits_refuses_bad_options(options: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        get_task("digits", options=options)


def test_digits_waits_in_silence() -> None:
    task = get_task("digits", options={"pixels": 4, "delay": 6})
    assert task.steps == 22
    assert (task.splits.training.inputs[:, 16:] == 0).all()
    plain = get_task("digits", options={"pixels": 4})
    assert torch.equal(task.splits.training.inputs[:, :16], plain.splits.training.inputs)


def copy_broken(source: Path, target: Path, name: str, content: bytes | None) -> str:
    for path in source.iterdir():
        if path.name != name:
            (target / path.name).symlink_to(path)
    if content is not None:
        (target / name).write_bytes(content)
    return str(target)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no train-images-idx3-ubyte"),
        (b"not gzip at all", "cannot be read"),
        (gzip.compress(b"PK..a zip"), "expected an IDX file"),
        (gzip.compress(b"\0\0\x0d\x01" + bytes(8)), "expected unsigned bytes"),
        (gzip.compress(struct.pack(">BBBB3I", 0, 0, 8, 3, 60_000, 28, 28) + bytes(100)), "holds 100 bytes of data"),
        (gzip.compress(struct.pack(">BBBB3I", 0, 0, 8, 3, 2, 28, 28) + bytes(2 * 784)), r"shape \(2, 28, 28\)"),
    ],
    ids=["missing", "no gzip", "no IDX", "floats", "too short", "too few"],
)
def test_smnist_names_the_broken_file(
    mnist_directory: Path, tmp_path: Path, content: bytes | None, message: str
) -> None:
    name = "train-images-idx3-ubyte.gz"
    directory = copy_broken(mnist_directory, tmp_path, name, content)
    with pytest.raises(UserError, match=message) as caught:
        get_task("smnist", options={"directory": directory}).check()
    assert "train-images-idx3-ubyte" in str(caught.value)


def test_smnist_truncated_gzip_is_named(mnist_directory: Path, tmp_path: Path) -> None:
    name = "train-images-idx3-ubyte.gz"
    whole = (mnist_directory / name).read_bytes()
    directory = copy_broken(mnist_directory, tmp_path, name, whole[: len(whole) // 2])
    with pytest.raises(UserError, match="cannot be read"):
        get_task("smnist", options={"directory": directory}).check()


def test_smnist_refuses_a_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere' is not there"):
        get_task("smnist", options={"directory": str(tmp_path / "nowhere")}).check()
