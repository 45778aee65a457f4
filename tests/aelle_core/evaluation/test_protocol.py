"""The paper's splits, task by task."""

import numpy as np
import pytest

from aelle_core.aelle.estimator import AeLLE
from aelle_core.evaluation import NetworkExamples, Shares, classifiers, protocol_of, splits_by_network
from aelle_core.evaluation.scoring import evaluate_classifiers
from aelle_core.evaluation.splits.protocol import PROTOCOLS
from aelle_core.evaluation.tables.base import table_makers
from aelle_core.evaluation.tables.material import Material
from aelle_core.evaluation.tables.paper_numbers import paper_tasks
from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError
from aelle_core.study import presets
from aelle_core.tasks import tasks

COUNT = 60


def networks() -> NetworkExamples:
    random = np.random.default_rng(1)
    level = random.standard_normal(COUNT)
    return NetworkExamples(
        spectra=level[:, None] + np.linspace(0, -1, 8) + 0.2 * random.standard_normal((COUNT, 8)),
        loss=np.exp(level),
        final_loss=np.exp(level),
        accuracy=np.full(COUNT, np.nan),
        cells=np.array(["a", "b"])[np.arange(COUNT) % 2],
        units=np.full(COUNT, 8),
        hyperparameters={"scale": random.uniform(0.1, 1, COUNT)},
        networks=np.array([f"n{index:02d}" for index in range(COUNT)]),
        epoch=1,
    )


def test_every_task_of_the_paper_has_its_splits() -> None:
    assert sorted(PROTOCOLS) == paper_tasks()
    assert set(PROTOCOLS) <= set(tasks)
    splits = {name: str(protocol_of(study.task).end) for name, (_, study) in presets().items()}
    without_validation = {f"{size}-{task}" for size in ("paper", "scaled", "small") for task in ("char", "target")}
    assert without_validation | {"paper-smnist", "digits"} <= set(splits)
    assert splits == {name: "80 and 20 %" if name in without_validation else "70, 10 and 20 %" for name in splits}
    assert {str(protocol_of(name).early) for name in tasks} == {"20, 20 and 60 %"}


@pytest.mark.parametrize("task", ["charlm", "smnist"])
def test_splits_have_the_shares_of_the_task(task: str) -> None:
    shares = protocol_of(task).end
    for split in splits_by_network(networks(), 4, seed=0, shares=shares):
        parts = [len(part) / COUNT for part in (split.train, split.validation, split.test)]
        assert parts == pytest.approx([shares.training, shares.validation, shares.test])
        assert split.train | split.validation | split.test == set(networks().networks)


@pytest.mark.parametrize(
    "parts", [(0.8, 0.2, 0.2), (0.5, 0.1, 0.2), (0, 0.5, 0.5), (0.8, 0.2, 0), (1.2, -0.4, 0.2), (float("nan"), 0, 0.2)]
)
def test_parts_that_are_no_whole_are_refused(parts: tuple[float, float, float]) -> None:
    with pytest.raises(UserError, match=r"shares \(.*expected parts from 0 to 1 that add up to 1, with some for train"):
        Shares(*parts)


@pytest.mark.parametrize(
    ("shares", "least"),
    [(Shares(0.8, 0, 0.2), 2), (Shares(0.7, 0.1, 0.2), 3), (Shares(0.2, 0.2, 0.6), 5), (Shares(0.02, 0, 0.98), 50)],
)
def test_too_few_networks_for_the_parts_are_refused(shares: Shares, least: int) -> None:
    few, enough = networks().select(np.arange(least - 1)), networks().select(np.arange(least))
    with pytest.raises(
        UserError, match=f"^{counted(least - 1, 'network')} cannot be split into .*: expected at least {least}$"
    ):
        splits_by_network(few, 1, seed=0, shares=shares)
    assert splits_by_network(enough, 1, seed=0, shares=shares)[0].train


def test_without_validation_networks_cuts_are_chosen_on_those_that_train() -> None:
    """Every classifier says the same as where the training networks choose, and none of them counts twice."""
    examples = networks()
    split = splits_by_network(examples, 1, seed=0, shares=Shares(0.8, 0, 0.2))[0]
    train, test = examples.of(split.train), examples.of(split.test)
    aelle = AeLLE(steps=20, random_state=0).fit(train.spectra, train.final_loss)
    for name, kind in classifiers.items():
        measurements = evaluate_classifiers(aelle, {1: examples}, split, {name: kind}, threshold=1.0, seed=0)[0]
        assert (measurements.train_networks, measurements.test_networks) == (48, 12)
        alone = kind(aelle, 0)
        alone.fit(train, examples.of(split.validation), 1.0)
        if hasattr(alone, "boundary"):
            chosen = kind(aelle, 0)
            chosen.fit(train, train, 1.0)
            assert chosen.predict(test).tolist() == alone.predict(test).tolist(), name
    forest = classifiers["cell and hyperparameters"](aelle, 0)
    forest.fit(train, examples.of(split.validation), 1.0)
    assert forest._forest.estimators_samples_[0].shape == (48,)


def test_captions_name_the_splits_of_the_task() -> None:
    captions = {}
    for task in ("charlm", "smnist", "digits"):
        made = Material(task, {"hidden": {1: networks()}}, 1.0, 2, 0, {"steps": 5})
        captions[task] = table_makers["end_of_training"]().make(made).caption
        assert "splits of 20, 20 and 60 %" in table_makers["pretrained"]().make(made).caption
    assert "splits of 80 and 20 % by network" in captions["charlm"]
    assert "on the training networks" in captions["charlm"]
    assert "splits of 70, 10 and 20 % by network" in captions["smnist"]
    assert "on the validation networks" in captions["digits"]


def test_no_description_of_a_classifier_names_networks_that_its_task_may_not_have() -> None:
    """One text for all tasks: which networks choose cuts is said by the protocol."""
    for name, kind in classifiers.items():
        assert "validation networks" not in kind.description, name
    cut = [kind.description for kind in classifiers.values() if "best F1" in kind.description]
    assert len(cut) == 6
    assert all(description.endswith("on the networks that choose cuts") for description in cut)
    assert protocol_of("charlm").end.cutting == protocol_of("target_learning").end.cutting == "training"
    assert protocol_of("smnist").end.cutting == protocol_of("digits").end.cutting == "validation"
