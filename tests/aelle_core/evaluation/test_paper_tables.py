"""The paper's tables, on networks whose answer is known."""

import csv
import io
import math
from dataclasses import replace

import numpy as np
import pytest
from cloudpickle import dumps, loads
from joblib import parallel_config

from aelle_core.aelle.estimator import AeLLE
from aelle_core.evaluation import NetworkExamples, Split, classifiers
from aelle_core.evaluation.metrics import Measurement
from aelle_core.evaluation.scoring import evaluate_classifiers
from aelle_core.evaluation.splits.by_group import splits_by_group
from aelle_core.evaluation.tables.base import Table, make_tables, table_makers
from aelle_core.evaluation.tables.combinations import combination
from aelle_core.evaluation.tables.material import Material
from aelle_core.evaluation.tables.paper_4_medians import median_cells
from aelle_core.evaluation.tables.paper_numbers import paper_number, paper_tasks
from aelle_core.evaluation.verdicts import difference_in_words, gain, gains_in_words
from aelle_core.foundation.errors import UserError
from aelle_core.report.text_tables import comma_separated, grid, markdown

COUNT = 120
FAST = {"steps": 60, "members": 2}


def networks(epoch: int, *, shuffled: bool = False) -> NetworkExamples:
    """Networks of three cells and two sizes, half of them good: their exponents lie clearly below the others'. With
    `shuffled` the outcome has nothing to do with the spectrum, or with anything else."""
    random = np.random.default_rng(7)
    good = np.arange(COUNT) // 6 % 2 == 0
    level = np.where(good, -3.0, -1.0)
    spectra = level[:, None] + np.linspace(0, -1, 10) + 0.05 * random.standard_normal((COUNT, 10))
    final = np.where(good, 0.5, 2.0) * np.exp(0.05 * random.standard_normal(COUNT))
    if shuffled:
        final = final[random.permutation(COUNT)]
    return NetworkExamples(
        spectra=spectra,
        loss=final if epoch == 4 else random.uniform(2, 3, COUNT),
        final_loss=final,
        accuracy=1 / (1 + final),
        cells=np.array(["a", "b", "c"])[np.arange(COUNT) % 3],
        units=np.array([16, 32, 64])[np.arange(COUNT) % 6 // 2],
        hyperparameters={"scale": random.uniform(0.1, 1, COUNT)},
        networks=np.array([f"n{index:03d}" for index in range(COUNT)]),
        epoch=epoch,
    )


def material(*, shuffled: bool = False, splits: int = 3) -> Material:
    examples = {epoch: networks(epoch, shuffled=shuffled) for epoch in (0, 1, 2, 4)}
    return Material("smnist", {"hidden": examples}, 1.0, splits, 0, FAST)


@pytest.fixture(scope="module")
def separable() -> dict[str, Table]:
    return {table.name: table for table in make_tables(material(splits=2))}


def test_spectra_that_tell_everything_give_f1_of_one(separable: dict[str, Table]) -> None:
    for name in ("end_of_training", "statistics", "features", "medians", "pretrained"):
        for entry in separable[name].entries:
            if entry.metric == "f1" and ("LE" in entry.row or "median" in entry.row or "linear" in entry.row):
                # A median is only the boundary where the networks that it is taken over are half good, half bad.
                assert entry.mean > (0.9 if "median" in entry.row else 0.97), (name, entry)
    nothing = separable["end_of_training"].at("cell alone", "f1", "end of training")
    assert nothing is not None
    assert nothing.mean < 0.75


def test_outcomes_that_the_spectrum_does_not_tell_give_the_base_rate() -> None:
    shuffled = material(shuffled=True, splits=6)
    for name in ("AeLLE predictor", "AeLLE hyperplane", "linear on raw", "AeLLE median"):
        values = [
            measurement.balanced_accuracy for measurement in shuffled.at_the_end if measurement.classifier == name
        ]
        assert abs(np.mean(values) - 0.5) < 0.15, name


def test_the_loss_below_the_threshold_is_blind_until_it_gets_there(separable: dict[str, Table]) -> None:
    early = separable["pretrained"].at("loss below threshold", "recall", "epoch 0")
    assert early is not None
    assert early.mean == 0


def test_the_early_table_has_every_row_for_the_median_and_for_the_printed_threshold() -> None:
    """Losses that are final from the start: below the threshold already is then right by either label."""
    losses = np.random.default_rng(1).permutation(np.geomspace(0.1, 1, COUNT))
    examples = {epoch: replace(networks(epoch), loss=losses, final_loss=losses) for epoch in (0, 1, 2, 4)}
    table = table_makers["pretrained"]().make(Material("smnist", {"hidden": examples}, 0.5, 2, 0, FAST))
    rows = [row for row, _ in table.rows()]
    by_median = list(dict.fromkeys(row for row in rows if not row.endswith(", 0.22")))
    assert list(dict.fromkeys(rows)) == by_median + [f"{row}, 0.22" for row in by_median]
    assert {"AeLLE pre-trained", "current loss", "mean of the cell", "Gaussian process with loss"} <= set(by_median)
    for row in ("loss below threshold", "loss below threshold, 0.22"):
        entry = table.at(row, "f1", "epoch 0")
        assert entry is not None
        assert entry.mean == 1
    every, few = (table.at(f"AeLLE pre-trained{label}", "precision", "epoch 0") for label in ("", ", 0.22"))
    assert every is not None
    assert few is not None
    assert few.mean < every.mean  # a third of the networks are good by the printed one


def test_no_network_is_on_two_sides_of_a_split() -> None:
    made = material()
    groups = [split for _, split in splits_by_group(made.final, made.final.cells, seed=0)]
    for split in [*made.drawn(made.protocol.end), *made.drawn(made.protocol.early), *groups]:
        sides = (split.train, split.validation, split.test)
        assert sum(map(len, sides)) == len(frozenset().union(*sides)) == COUNT
    early = made.drawn(made.protocol.early)[0]
    assert (len(early.train), len(early.validation), len(early.test)) == (24, 24, 72)


def test_the_best_on_a_cell_never_seen_is_found_where_some_end_on_one_side_only() -> None:
    """Two further cells, all good and all bad: nobody has a balanced accuracy there."""
    examples = {}
    for epoch in (0, 4):
        present = networks(epoch)
        cells = np.where(np.arange(COUNT) % 10, present.cells, np.where(present.final_loss < 1, "good", "bad"))
        examples[epoch] = replace(present, cells=cells)
    table = table_makers["cell_left_out"]().make(Material("smnist", {"hidden": examples}, 1.0, 2, 0, FAST))
    remarks = " ".join(table.remarks)
    assert "Balanced accuracy is over 3 of 5 cells" in remarks
    entries = {row: table.at(row, "balanced_accuracy", "epoch 0") for row in ("LE mean", "cell and hyperparameters")}
    assert entries["LE mean"] is not None
    assert entries["LE mean"].mean > 0.95
    assert "does better than" in remarks.split("At epoch 0, the best of each kind:")[1]


def test_the_group_left_out_is_all_that_is_tested_and_never_trained_on() -> None:
    final = networks(4)
    splits = splits_by_group(final, final.units, seed=0)
    assert [name for name, _ in splits] == ["16", "32", "64"]
    for name, split in splits:
        assert set(final.of(split.test).units) == {int(name)}
        assert int(name) not in set(final.of(split.train | split.validation).units)


def test_test_outcomes_change_no_prediction() -> None:
    """Whoever looks at the outcomes of test networks would say something else when these are turned around."""
    made = material(splits=1)
    split = made.drawn(made.protocol.end)[0]
    final = made.final
    tested = np.isin(final.networks, sorted(split.test))
    turned = replace(final, final_loss=np.where(tested, 2.5 - final.final_loss, final.final_loss))
    aelle = made.aelle(split)
    chosen = {name: kind for name, kind in classifiers.items() if not kind.uses_loss}
    chosen |= {f"{depth} medians": median_cells(depth) for depth in (1, 4)}
    for kind in chosen.values():
        predictions = []
        for examples in (final, turned):
            classifier = kind(aelle, 0)
            classifier.fit(examples.of(split.train), examples.of(split.validation), 1.0)
            predictions.append(classifier.predict(examples.of(split.test)))
        np.testing.assert_array_equal(*predictions)


class _Plane(AeLLE):
    """Components that are the exponents themselves."""

    def transform(self, X: np.ndarray) -> np.ndarray:
        return np.asarray(X)


def planar(points: np.ndarray, good: np.ndarray) -> NetworkExamples:
    final = networks(4)
    size = len(points)
    return replace(final.select(np.arange(size)), spectra=points, final_loss=np.where(good, 0.5, 2.0))


def test_cells_between_medians_learn_a_chessboard_that_one_median_cannot() -> None:
    random = np.random.default_rng(0)
    points = random.uniform(-1, 1, (COUNT, 2))
    good = (points[:, 0] > 0) == (points[:, 1] > 0)
    train, test = planar(points[:90], good[:90]), planar(points[90:], good[90:])
    accuracy = {}
    for depth in (1, 2):
        classifier = median_cells(depth)(_Plane(), 0)
        classifier.fit(train, train, 1.0)
        accuracy[depth] = (classifier.predict(test) == good[90:]).mean()
    assert accuracy[2] > 0.8 > accuracy[1]


def test_an_empty_cell_takes_the_answer_of_the_cell_around_it() -> None:
    points = np.array([[-1.0, -1.0], [-2.0, -2.0], [1.0, 1.0], [2.0, 2.0]])
    classifier = median_cells(2)(_Plane(), 0)
    train = planar(points, np.array([True, True, False, False]))
    classifier.fit(train, train, 1.0)
    unseen = planar(np.array([[-1.0, 5.0], [1.0, -5.0]]), np.array([True, False]))
    assert classifier.predict(unseen).tolist() == [True, False]


def test_the_ellipse_closes_around_good_networks_where_no_line_can() -> None:
    random = np.random.default_rng(0)
    angle, radius = random.uniform(0, 2 * np.pi, COUNT), np.where(np.arange(COUNT) % 2, 0.5, 2.0)
    points = np.stack([3 * radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    good = radius < 1
    train, validation, test = (planar(points[part], good[part]) for part in (slice(60), slice(60, 80), slice(80, 120)))
    right = {}
    for name in ("AeLLE hyperellipse", "AeLLE hyperplane"):
        classifier = classifiers[name](_Plane(), 0)
        classifier.fit(train, validation, 1.0)
        right[name] = (classifier.predict(test) == good[80:]).mean()
    assert right["AeLLE hyperellipse"] > 0.95
    assert right["AeLLE hyperplane"] < 0.8


def test_what_training_does_not_change_is_measured_once_and_says_the_same() -> None:
    made = material(splits=1)
    split = made.drawn(made.protocol.end)[0]
    measurements = evaluate_classifiers(
        made.aelle(split), made.examples, split, {"cell alone": classifiers["cell alone"]}, threshold=1.0, seed=0
    )
    assert [measurement.epoch for measurement in measurements] == [0, 1, 2, 4]
    assert len({measurement.f1 for measurement in measurements}) == 1


def test_gains_are_taken_split_by_split() -> None:
    def one(name: str, split: int, f1: float) -> Measurement:
        return Measurement(name, "spectrum", 0, split, f1, f1, f1, f1, math.nan, 40, 10, -f1)

    pairs = [(0.5, 0.4), (0.9, 0.8), (0.7, 0.6)]
    measured = [one(n, s, v) for s, pair in enumerate(pairs) for n, v in zip(("x", "y"), pair, strict=True)]
    assert gain(measured, "x", "y", 0) == pytest.approx((0.1, 0.1, 0.1))
    assert difference_in_words(measured, "x", "y", 0) == (
        "'x' does better than 'y' by F1, but worse by rank correlation: F1 +0.100 (+0.100 to +0.100), rank "
        "correlation -0.100 (-0.100 to -0.100)."  # nobody has a rank within cells
    )


def test_who_does_better_is_said_in_words() -> None:
    better, open_, none = (0.1, 0.05, 0.15), (0.1, -0.1, 0.3), (math.nan, math.nan, math.nan)
    assert gains_in_words({"f1": better, "rank_correlation": none}, "x", "y").startswith("'x' does better than 'y': F1")
    partly = gains_in_words({"f1": better, "rank_correlation": open_}, "x", "y")
    assert partly.startswith("'x' does better than 'y' by F1: F1 +0.100 (+0.050 to +0.150), rank correlation within")
    assert "'x' and 'y' cannot be told apart: F1 +0.100" in gains_in_words({"f1": open_}, "x", "y")
    assert gains_in_words({"f1": none}, "x", "y") == "Too few splits to tell 'x' and 'y' apart: nothing was measured."


def test_the_papers_numbers_stand_beside_ours(separable: dict[str, Table]) -> None:
    assert paper_tasks() == ["charlm", "smnist", "target_learning"]
    assert paper_number("charlm", "end_of_training", "f1", "LE max, median", "end of training") == 0.859
    assert paper_number("digits", "end_of_training", "f1", "LE max, median", "end of training") is None
    header, rows = grid(separable["end_of_training"])
    assert header == ["", "metric", "end of training, paper", "end of training, ours"]
    assert next(row for row in rows if row[0] == "AeLLE median")[1:3] == ["F1", "0.859"]


def test_markdown_and_csv_hold_every_number(separable: dict[str, Table]) -> None:
    tables = list(separable.values())
    lines = list(csv.DictReader(io.StringIO(comma_separated(tables))))
    assert len(lines) == sum(len(table.entries) for table in tables)
    assert lines[0]["table"] == "end_of_training"
    assert float(lines[0]["mean"]) == pytest.approx(tables[0].entries[0].mean, rel=1e-5)
    text = markdown("title", tables)
    assert all(table.title in text for table in tables)
    assert "| AeLLE median | F1 | 0.859 |" in text


def test_what_a_study_cannot_fill_is_said_in_words(separable: dict[str, Table]) -> None:
    assert separable["kinds"].entries == ()
    assert "hidden spectra only" in separable["kinds"].remarks[0]
    both = Material("smnist", {"hidden": {4: networks(4)}, "full": {4: networks(4)}}, 1.0, 2, 0, FAST)
    kinds = {table.name: table for table in make_tables(both)}["kinds"]
    assert {entry.row for entry in kinds.entries} >= {"LE max, full", "LE max, hidden"}
    assert not any(math.isnan(entry.mean) for entry in kinds.entries)


def test_too_few_networks_are_refused() -> None:
    few = {0: networks(0).select(np.arange(19))}
    with pytest.raises(UserError, match="19 networks with a final spectrum: tables expect at least 20"):
        Material("smnist", {"hidden": few}, 1.0)


def test_split_is_hashable_by_its_networks() -> None:
    made = material(splits=1)
    split = made.drawn(made.protocol.end)[0]
    assert made.aelle(split) is made.aelle(Split(5, split.train, frozenset(), frozenset()))


def test_splits_side_by_side_give_the_same_numbers() -> None:
    alone, together = material(splits=2), material(splits=2)
    together.jobs = 2
    chosen = {"2 medians": median_cells(2), "loss + spectrum": combination(("loss", "spectrum"))}
    with parallel_config(backend="threading"):
        measured = together.measure(together.drawn(together.protocol.end), [4], chosen)
    assert measured == alone.measure(alone.drawn(alone.protocol.end), [4], chosen)
    sent = loads(dumps(chosen))  # as to a process of its own
    assert measured == alone.measure(alone.drawn(alone.protocol.end), [4], sent)
