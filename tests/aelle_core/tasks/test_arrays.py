"""One's own data: what files hold becomes examples, and every mistake is one sentence before anything is trained."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from aelle_core.foundation.errors import UserError
from aelle_core.study import RunDirectory, Study, cohorts, get_preset, run_pack, run_study
from aelle_core.tasks import get_task
from aelle_core.tasks.arrays import Arrays, keep_arrays

RANDOM = np.random.default_rng(0)
LENGTHS = RANDOM.integers(4, 9, 30)


def arrays(data: "str | Path", seed: int = 0, **options: Any) -> Arrays:
    made = get_task("arrays", seed=seed, options={"data": str(data), **options})
    assert isinstance(made, Arrays)
    return made


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def table(lengths: "np.ndarray | list[int]" = LENGTHS, **columns: Any) -> list[dict[str, Any]]:
    """Rows of sequences: features a and b tell sequence and step; further columns are functions of these."""
    return [
        {"sequence": f"s{number:02d}", "a": number + 0.01 * step, "b": -float(step)}
        | {name: make(number, step) for name, make in columns.items()}
        for number, length in enumerate(lengths)
        for step in range(length)
    ]


def unscaled(task: Arrays, part: str) -> dict[int, np.ndarray]:
    """The inputs of a part in their own units, by the sequence that feature a tells."""
    examples, scaling = getattr(task.splits, part), task.statement()["standardisation"]
    means, deviations = (np.array([scaling[name][at] for name in ("a", "b")]) for at in (0, 1))
    unscaled_values = {}
    for number, inputs in enumerate(examples.inputs.double().numpy()):
        length = len(inputs) if examples.lengths is None else int(examples.lengths[number])
        values = inputs[:length] * deviations + means
        unscaled_values[round(values[0, 0])] = values
    return unscaled_values


def test_a_csv_of_classes_becomes_padded_sequences_with_their_labels(tmp_path: Path) -> None:
    task = arrays(write_csv(tmp_path / "own.csv", table(label=lambda number, step: "odd" if number % 2 else "even")))
    assert (task.loss, task.readout, task.ragged, task.outputs, task.input_size) == (
        "cross_entropy",
        "last",
        True,
        2,
        2,
    )
    assert task.statement()["class_names"] == ["even", "odd"]
    seen: set[int] = set()
    for part in ("training", "validation", "test"):
        held = unscaled(task, part)
        assert not seen & set(held), "a sequence is in one part alone"
        seen |= set(held)
        for (number, values), target in zip(held.items(), getattr(task.splits, part).targets, strict=True):
            assert len(values) == LENGTHS[number]
            np.testing.assert_allclose(values[:, 1], -np.arange(LENGTHS[number]), atol=1e-5)
            assert int(target) == number % 2
    assert seen == set(range(30))
    assert [len(split) for split in (task.splits.training, task.splits.validation, task.splits.test)] == [18, 6, 6]


def test_standardisation_is_learned_from_the_training_part_alone_and_stated(tmp_path: Path) -> None:
    task = arrays(write_csv(tmp_path / "own.csv", table(target=lambda number, step: number / 7)))
    training, scaling = task.splits.training, task.statement()["standardisation"]
    assert training.lengths is not None
    counted = training.inputs[torch.arange(task.steps) < training.lengths.unsqueeze(1)]
    torch.testing.assert_close(counted.mean(dim=0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(counted.std(dim=0, unbiased=False), torch.ones(2), atol=1e-5, rtol=0)
    rows = np.concatenate(list(unscaled(task, "training").values()))
    np.testing.assert_allclose([scaling["a"][0], scaling["b"][0]], rows.mean(axis=0), rtol=1e-5)
    assert task.statement()["target_standardisation"]["target"][0] == pytest.approx(
        np.mean(list(unscaled(task, "training"))) / 7, rel=1e-5
    )
    assert task.loss == "squared_error"
    plain = arrays(tmp_path / "own.csv", standardise=False)
    assert plain.splits.training.inputs[:, 0, 0].round().sort().values.tolist() == sorted(unscaled(task, "training"))


def test_numbers_for_every_step_and_the_next_step(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "own.csv", table([6] * 20, target=lambda number, step: 2.0 * number + step))
    task = arrays(path, standardise=False)
    assert (task.readout, task.outputs, task.ragged) == ("every", 1, False)
    inputs, targets = task.splits.training.inputs, task.splits.training.targets
    torch.testing.assert_close(targets[..., 0], 2 * inputs[..., 0].round() - inputs[..., 1])
    forecast = arrays(path, ignore="target", target=[], standardise=False)
    assert (forecast.steps, forecast.outputs, forecast.readout) == (5, 2, "every")
    torch.testing.assert_close(forecast.splits.test.targets[:, :-1], forecast.splits.test.inputs[:, 1:])
    torch.testing.assert_close(
        forecast.splits.test.targets[:, -1, 1], torch.full_like(forecast.splits.test.targets[:, -1, 1], -5.0)
    )


def test_one_long_series_is_split_in_time_with_gaps(tmp_path: Path) -> None:
    np.save(tmp_path / "own.npy", np.arange(1000.0))
    task = arrays(tmp_path / "own.npy", window=20, gap=30, standardise=False)
    parts = [task.splits.training, task.splits.validation, task.splits.test]
    ends = [(int(part.inputs.min()), int(part.targets.max())) for part in parts]
    assert ends[0][0] == 0
    assert ends[1][0] - ends[0][1] > 30
    assert ends[2][0] - ends[1][1] > 30
    assert all(torch.equal(part.targets, part.inputs + 1) for part in parts)
    assert task.statement()["split"] == "time"
    assert task.baselines()["no change"] == 1.0
    starts = parts[1].inputs[:, 0, 0]
    assert torch.equal(starts.diff(), torch.full_like(starts[1:], 20.0))
    assert 128 <= len(parts[0]) < 160  # a short series trains on windows that overlap
    assert float(parts[0].inputs[:, 0, 0].diff().max()) < 20
    apart = arrays(tmp_path / "own.npy", window=20, stride=20)
    assert len(apart.splits.training) < 30


def same(first: Arrays, second: Arrays) -> bool:
    parts = ("training", "validation", "test")
    return all(getattr(first.splits, part).digest() == getattr(second.splits, part).digest() for part in parts)


def test_csv_parquet_npz_a_directory_and_arrays_of_a_program_give_the_same_examples(tmp_path: Path) -> None:
    rows = table(label=lambda number, step: number % 3)
    expected = arrays(write_csv(tmp_path / "own.csv", rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "own.parquet")
    sequences = [
        np.array([[row["a"], row["b"]] for row in rows if row["sequence"] == f"s{number:02d}"]) for number in range(30)
    ]
    labels = np.arange(30) % 3
    padded = np.full((30, 9, 2), np.nan)
    for number, sequence in enumerate(sequences):
        padded[number, : len(sequence)] = sequence
    np.savez(tmp_path / "own.npz", inputs=padded, targets=labels, lengths=LENGTHS)
    kept = keep_arrays(sequences, labels, at=tmp_path / "kept")
    folder = tmp_path / "folder"
    for number, sequence in enumerate(sequences):
        (folder / str(number % 3)).mkdir(parents=True, exist_ok=True)
        np.save(folder / str(number % 3) / f"{number:02d}.npy", sequence)
    for path in (tmp_path / "own.parquet", tmp_path / "own.npz", kept):
        assert same(arrays(path), expected), path
    assert keep_arrays(sequences, labels, at=tmp_path / "kept") == kept
    classes = arrays(folder)
    assert classes.statement()["class_names"] == ["0", "1", "2"]
    assert len(classes.splits.training) == len(expected.splits.training)


def test_rows_in_any_order_are_sorted_by_their_time(tmp_path: Path) -> None:
    rows = table(time=lambda number, step: step, label=lambda number, step: number % 2)
    expected = arrays(write_csv(tmp_path / "own.csv", rows))
    shuffled = [rows[row] for row in np.random.default_rng(1).permutation(len(rows))]
    first = [row for number in range(30) for row in shuffled if row["sequence"] == f"s{number:02d}"]
    assert same(arrays(write_csv(tmp_path / "mixed.csv", first)), expected)
    assert "time" not in expected.statement()["feature_names"]


def test_the_seed_decides_the_split_and_classes_are_in_all_parts(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "own.csv", table(label=lambda number, step: number % 3))
    assert same(arrays(path), arrays(path))
    assert not same(arrays(path), arrays(path, seed=1))
    for seed in range(5):
        splits = arrays(path, seed=seed).splits
        for part in (splits.training, splits.validation, splits.test):
            assert torch.bincount(part.targets, minlength=3).tolist() == [len(part) // 3] * 3


def test_spectra_are_taken_along_sequences_of_one_length(tmp_path: Path) -> None:
    task = arrays(write_csv(tmp_path / "own.csv", table(label=lambda number, step: number % 2)))
    lengths = task.splits.validation.lengths
    assert lengths is not None
    inputs = task.spectrum_inputs(15)
    assert inputs.shape[1] == int(lengths.median())
    assert len(inputs) == int((lengths >= lengths.median()).sum())


def test_every_mistake_is_one_sentence(tmp_path: Path) -> None:
    def refused(message: str, rows: list[dict[str, Any]], **options: Any) -> None:
        with pytest.raises(UserError, match=message) as caught:
            arrays(write_csv(tmp_path / "own.csv", rows), **options).check(4)
        assert "\n" not in str(caught.value)

    good = table(label=lambda number, step: number % 2)
    refused(
        "'a' has no finite number in step 2 of sequence 's00'",
        [row | {"a": ""} if i == 1 else row for i, row in enumerate(good)],
    )
    refused("'b' is 3 in the whole training part", [row | {"b": 3} for row in good])
    refused("4 sequences of .*: expected at least 10", table([8] * 4, label=lambda n, s: n % 2), split="sequence")
    refused("label 0.5 of 'label': expected whole numbers", table(label=lambda n, s: n / 2), learn="classification")
    refused("has 5 steps: expected at least 7, a window and the step after it", table([5] * 12), window=6)
    refused("has 30 steps: expected at least 40 to split", table([30]))
    refused("series 's00' .* has 100 steps, of which 16 are for validation", table([100]), window=20, gap=10)
    refused("column 'town' of .* holds 'Rome'", table(town=lambda n, s: "Rome"))
    refused("column 'price' of .* holds 'dear'", table(price=lambda n, s: "dear" if s == 3 else s))
    refused("'label' is '1' everywhere: expected at least two classes", table(label=lambda n, s: 1))
    refused("has 30 different whole numbers: expected learn=", table(target=lambda n, s: n))
    refused("without targets: expected some, or .forecasting.", table(), learn="regression")
    refused("unknown column of .* 'prise'.*did you mean 'price'", table(price=lambda n, s: n / 3), target="prise")
    refused("unknown sequence column 'person'", good, sequence="person")
    with pytest.raises(UserError, match=r"18 training examples of .*: expected at least 32, one mini-batch"):
        arrays(write_csv(tmp_path / "own.csv", good)).check(32)
    with pytest.raises(UserError, match="warmup=7: spectra of 'arrays' are taken along"):
        arrays(tmp_path / "own.csv").check(4, warmup=7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no data: expected a file or directory, as --data"),
        ({"data": "nowhere.csv"}, "'nowhere.csv' is not there: expected a file that ends with"),
        ({"data": "nowhere.xlsx"}, "'nowhere.xlsx' is not there: expected a file that ends with"),
        ({"data": "x", "learn": "classify"}, "did you mean 'classification'"),
        ({"data": "x", "window": 1}, "window=1: expected a whole number of at least 2"),
        ({"data": "x", "test": 0.6}, "test=0.6: expected a share"),
        ({"data": "x", "split": "rows"}, "split='rows': expected 'sequence' or 'time'"),
    ],
)
def test_options_and_places_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        get_task("arrays", options=options).check()


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "own.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="cannot be read"):
        arrays(tmp_path / "own.npy").check()


def test_a_study_of_own_arrays_keeps_its_data_and_goes_on_without_the_file(tmp_path: Path) -> None:
    """What a worker on another node does: it has the run's directory, and not the user's file."""
    path = write_csv(tmp_path / "own.csv", table(target=lambda number, step: number / 7))
    study = get_preset("arrays").replace(
        task_options={"data": str(path)}, cells=("gru",), units=(4,), networks=2, epochs=1, batch_size=8
    )
    run = RunDirectory(tmp_path / "run")
    run_study(study, run)
    rows = run.store.read(study=study.identity).to_pylist()
    assert all(row["validation_accuracy"] is None and row["validation_loss"] > 0 for row in rows)
    assert run.loss_name() == "mean squared error (the variance is 1)"
    held = json.loads((tmp_path / "run" / "study.json").read_text())["data"]
    assert held["standardisation"]["a"][1] > 0
    path.unlink()
    other = RunDirectory(tmp_path / "other")
    other.prepare(study, held)
    get_task("arrays", options=study.task_options).found_with(run.path).keep_with(other.path)
    run_pack(study, cohorts(study)[0].packs[0], other)
    again = other.store.read(study=study.identity).to_pylist()
    assert [row["validation_loss"] for row in again] == [row["validation_loss"] for row in rows]


def test_data_that_changed_since_a_run_was_begun_are_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "own.csv", table(target=lambda number, step: number / 7))
    study = Study(
        task="arrays", task_options={"data": str(path)}, cells=("rnn",), units=(4,), networks=1, epochs=1, batch_size=8
    )
    run_study(study, RunDirectory(tmp_path / "run"))
    run_study(study, RunDirectory(tmp_path / "run"))
    write_csv(path, table(target=lambda number, step: number / 8))
    with pytest.raises(UserError, match=r"has changed since .* was begun"):
        run_study(study, RunDirectory(tmp_path / "run"))
