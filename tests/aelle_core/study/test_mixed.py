"""Studies that also draw the family of initial weights and the depth of unrolling."""

from pathlib import Path
from typing import Any

import pytest

from aelle_core.analysis.trained import load_examples
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.ranges import Choice, Range, WholeRange
from aelle_core.study import RunDirectory, Study, cohorts, get_preset, run_study

FAMILIES = ("uniform", "normal", "orthogonal")


def variants(study: Study) -> list[Any]:
    return [variant for group in cohorts(study) for pack in group.packs for variant in pack.variants]


def test_every_network_of_the_preset_draws_all_of_it() -> None:
    drawn = variants(get_preset("mixed").replace(networks=40))
    assert {variant.settings.initialiser for variant in drawn} == set(FAMILIES)
    assert {variant.settings.truncation for variant in drawn} == set(range(4, 23))
    for variant in drawn:
        assert variant.hyperparameters["truncation"] == variant.settings.truncation
        chosen = {name: variant.hyperparameters[f"initialiser {name}"] for name in FAMILIES}
        assert chosen == {name: float(name == variant.settings.initialiser) for name in FAMILIES}
        assert 0.05 <= variant.settings.clip <= 5
        assert not {"truncation", "initialiser"} & set(variant.settings.constants)


def test_drawing_more_leaves_all_other_draws_as_they_were() -> None:
    plain = Study(cells=("gru",), networks=6)
    mixed = plain.replace(ranges={"gru": {"truncation": [2, 8], "initialiser": "normal"}})
    for without, with_more in zip(variants(plain), variants(mixed), strict=True):
        assert without.hyperparameters.items() <= with_more.hyperparameters.items()
        assert (without.settings.initialiser, without.settings.truncation) == ("uniform", None)
        assert with_more.settings.initialiser == "normal"
        assert set(with_more.hyperparameters) - set(without.hyperparameters) == {"truncation", "initialiser normal"}


def test_what_was_drawn_is_stored_where_the_baselines_look(tmp_path: Path) -> None:
    ranges = {"*": {"truncation": [1, 8, "linear"], "initialiser": list(FAMILIES)}}
    study = Study(cells=("rnn", "lem"), units=(4,), networks=6, epochs=1, ranges=ranges)
    run_study(study, RunDirectory(tmp_path / "run"), way="packed")
    examples = load_examples(RunDirectory(tmp_path / "run").store, study)[0][1]
    assert {"truncation", *(f"initialiser {name}" for name in FAMILIES)} <= set(examples.hyperparameters)
    expected = {variant.network: variant.hyperparameters for variant in variants(study)}
    for index, network in enumerate(examples.networks):
        for name, value in expected[network].items():
            assert examples.hyperparameters[name][index] == value


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({"truncation": [0, 4]}, r"range 0 to 4 .*expected whole numbers of at least 1"),
        ({"truncation": [1.5, 4]}, r"range 1.5 to 4 .*expected whole numbers"),
        ({"truncation": "all"}, r"range 'all': expected a number"),
        ({"initialiser": ["uniform", "othogonal"]}, r"unknown initialiser 'othogonal'.*did you mean 'orthogonal'"),
        ({"initialiser": ["normal", "normal"]}, r"initialiser \['normal', 'normal'\]: expected some of .*each once"),
        ({"initialiser": []}, r"initialiser \[\]: expected some of .*normal, orthogonal, uniform"),
        ({"initialiser": 3}, r"initialiser 3: expected some of"),
    ],
)
def test_wrong_ranges_are_refused(ranges: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Study(cells=("gru",), ranges={"gru": ranges})


def test_force_has_neither() -> None:
    with pytest.raises(UserError, match=r"ranges\['rank1'\] names 'truncation': expected one of"):
        Study(task="target_learning", cells=("rank1",), ranges={"rank1": {"truncation": 3}})


def test_choices_and_whole_ranges_cover_all_their_values_evenly() -> None:
    places = [index / 1000 for index in range(1000)]
    choice = Choice(FAMILIES)
    assert [sum(choice.at(share) == name for share in places) for name in FAMILIES] == [334, 333, 333]
    assert (str(choice), choice.varies, Choice(("normal",)).varies) == ("uniform or normal or orthogonal", True, False)
    whole = WholeRange.parse([1, 4, "linear"])
    drawn = [whole.at(share) for share in places]
    assert all(249 <= drawn.count(value) <= 251 for value in (1.0, 2.0, 3.0, 4.0))
    assert [WholeRange.parse([1, 3]).at(share) for share in (0.0, 0.7, 1.0)] == [1.0, 2.0, 3.0]  # by its logarithm
    assert WholeRange.parse(5).at(0.3) == 5.0
    assert (whole.varies, Range(2, 2).varies) == (True, False)
