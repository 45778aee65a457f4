"""What every registered task must do. Tasks that need files get small ones made here."""

import gzip
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from aelle_core.foundation.errors import UserError
from aelle_core.tasks import Supervised, Task, cross_entropy, get_task, tasks
from aelle_core.tasks.arrays import keep_arrays
from aelle_core.training import trainers


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


def test_a_trainer_takes_it_and_spectra_have_inputs(any_task: Task) -> None:
    assert any_task.trainer in trainers
    inputs = any_task.spectrum_inputs(2)
    assert 1 <= len(inputs) <= 2
    assert inputs.shape[1:] == (any_task.steps, any_task.input_size)
    assert inputs.isfinite().all()


def test_statement_is_json_and_tells_the_seed(any_task: Task, mnist_directory: Path) -> None:
    assert json.loads(json.dumps(any_task.statement())) == any_task.statement()
    assert any_task.statement() == make(any_task.name, mnist_directory).statement()
    assert make(any_task.name, mnist_directory, seed=3).statement()["seed"] == 3


def test_spectrum_inputs_are_the_first_validation_sequences(task: Supervised) -> None:
    inputs, validation = task.spectrum_inputs(5), task.splits.validation
    assert inputs.dtype == torch.float32
    if validation.one_hot:
        assert torch.equal(inputs.sum(dim=-1), torch.ones(5, task.steps))
        assert torch.equal(inputs.argmax(dim=-1), validation.inputs[:5].long())
    else:
        assert torch.equal(inputs, validation.inputs[:5])


def test_shapes_and_ranges(task: Supervised) -> None:
    for part in (task.splits.training, task.splits.validation, task.splits.test):
        if part.one_hot:
            assert part.inputs.shape == (len(part), task.steps)
            assert part.inputs.min() >= 0
            assert part.inputs.max() < task.input_size
        else:
            assert part.inputs.shape == (len(part), task.steps, task.input_size)
            assert part.inputs.dtype == torch.float32
            assert part.inputs.isfinite().all()
        rows = (len(part), task.steps) if task.readout == "every" else (len(part),)
        assert (part.lengths is not None) == task.ragged
        if not task.loss_kind.classes:
            assert part.targets.shape == (*rows, task.outputs)
            assert part.targets.dtype == torch.float32
            assert part.targets.isfinite().all()
            continue
        assert part.targets.shape == rows
        assert part.targets.dtype == torch.int64
        assert part.targets.min() >= 0
        assert part.targets.max() < task.outputs


def test_splits_are_disjoint(task: Supervised) -> None:
    parts = (task.splits.training, task.splits.validation, task.splits.test)
    seen = [{row.tobytes() for row in part.inputs.flatten(1).numpy()} for part in parts]
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]


def test_every_network_trains_on_its_own_share(task: Supervised) -> None:
    count = len(task.splits.training)
    first, second = task.own_examples(1), task.own_examples(2)
    assert len(first) == len(second) == task.examples_per_network == round(task.share * count)
    assert torch.equal(first, task.own_examples(1))
    assert torch.equal(first.unique(), first.sort().values)
    assert torch.equal(first.sort().values, second.sort().values) == (task.share == 1)
    order = task.order(1, epoch=1)
    assert torch.equal(order.sort().values, first.sort().values)
    assert not torch.equal(order, task.order(1, epoch=2))


def test_seed_decides_the_split_and_is_stated(task: Supervised, mnist_directory: Path) -> None:
    again = make(task.name, mnist_directory)
    other = make(task.name, mnist_directory, seed=1)
    assert again.statement() == task.statement()
    assert other.statement()["splits"]["training"] != task.statement()["splits"]["training"]
    assert other.statement()["seed"] == 1


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
    with pytest.raises(UserError, match="is not a directory"):
        get_task("smnist", options={"directory": str(tmp_path / "nowhere")}).check()
