"""Packs that are drawn when asked for, and an analysis without the networks of packs that were given up."""

import pickle
from pathlib import Path

import pytest

from aelle_core.analysis.prepare import prepare_analysis
from aelle_core.analysis.trained import load_examples
from aelle_core.foundation.errors import UserError
from aelle_core.study import Pack, QuarantinedPack, RunDirectory, Study, cohorts, run_pack
from aelle_core.study.quarantine import quarantined_sentence

STUDY = Study(name="partial", cells=("rnn",), units=(4,), networks=14, pack_size=4, epochs=1)


def given_up(number: int, cause: str = "RuntimeError: no luck") -> QuarantinedPack:
    packs = cohorts(STUDY)[0].packs
    return QuarantinedPack.now(packs.name(number), packs.networks(number), 4, cause)


@pytest.fixture(scope="module")
def partial(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run whose second pack fails after what it stored before training."""
    run = RunDirectory(tmp_path_factory.mktemp("partial") / "run")
    run.prepare(STUDY, {})

    def fail(pack: Pack, epoch: int) -> None:
        if pack.name.endswith("0001"):
            raise RuntimeError("no luck")

    for pack in cohorts(STUDY)[0].packs:
        try:
            run_pack(STUDY, pack, run, way="packed", on_epoch=fail)
        except RuntimeError:
            assert pack.name == "rnn-4-pack0001"
    assert run.store.read(epoch=0).num_rows == 14
    assert run.store.read(epoch=1).num_rows == 10
    return run


def test_packs_are_drawn_when_asked_for_and_the_same_anywhere() -> None:
    packs = cohorts(STUDY)[0].packs
    assert [len(pack.variants) for pack in packs] == [4, 4, 4, 2]
    assert [pack.name for pack in packs] == list(packs.names())
    assert [[variant.network for variant in pack.variants] for pack in packs] == [packs.networks(n) for n in range(4)]
    assert pickle.loads(pickle.dumps(packs))[3] == packs[3] == packs[-1]
    assert packs[1:3] == (packs[1], packs[2])
    other_size = cohorts(STUDY.replace(pack_size=14))[0].packs[0]
    assert other_size.variants == tuple(variant for pack in packs for variant in pack.variants)
    with pytest.raises(IndexError):
        packs[4]


def test_a_million_networks_take_no_more_memory_than_one() -> None:
    cohort = cohorts(STUDY.replace(networks=1_000_000, pack_size=16))[0]
    assert len(cohort.packs) == 62_500
    assert len(pickle.dumps(cohort)) < 2000
    assert cohort.packs[-1].variants[-1].network == "rnn-4-999999"


def test_records_are_kept_replaced_and_cleared(tmp_path: Path) -> None:
    quarantine = RunDirectory(tmp_path / "run").quarantine
    with pytest.raises(FileNotFoundError):  # never makes a run's directory
        quarantine.add(given_up(2))
    (tmp_path / "run").mkdir()
    assert quarantine.packs() == []
    quarantine.add(given_up(2))
    quarantine.add(given_up(1))
    quarantine.add(given_up(2, "OSError: other"))
    assert [(record.pack, record.cause, record.attempts) for record in quarantine.packs()] == [
        ("rnn-4-pack0001", "RuntimeError: no luck", 4),
        ("rnn-4-pack0002", "OSError: other", 4),
    ]
    assert quarantine.packs()[0].networks == ("rnn-4-00004", "rnn-4-00005", "rnn-4-00006", "rnn-4-00007")
    quarantine.clear("rnn-4-pack0001")
    quarantine.clear("rnn-4-pack0001")
    assert [record.pack for record in quarantine.packs()] == ["rnn-4-pack0002"]
    (quarantine.path / "rnn-4-pack0002.json").write_text("{}")
    with pytest.raises(UserError, match=r"rnn-4-pack0002.json' cannot be read"):
        quarantine.packs()


def test_many_packs_make_one_sentence() -> None:
    packs = [QuarantinedPack.now(f"pack{n}", (), 1, "x" if n < 7 else "y") for n in range(8)]
    assert quarantined_sentence(packs) == (
        "packs pack0, pack1, pack2, pack3, pack4 and 3 more quarantined: x; 1 other cause"
    )
    assert quarantined_sentence(packs[:1]) == "pack pack0 quarantined: x"


def test_networks_may_be_missing_only_with_their_quarantined_pack(partial: RunDirectory) -> None:
    with pytest.raises(UserError, match="has 10 of 14 networks trained to the end"):
        prepare_analysis(partial.store, STUDY, splits=2, seed=0)
    with pytest.raises(UserError, match="has 10 of 14 networks trained to the end"):
        load_examples(partial.store, STUDY, quarantined=[given_up(3)])
    analysis = prepare_analysis(partial.store, STUDY, splits=2, seed=0, quarantined=[given_up(1)])
    assert analysis.missing == "4 of 14 networks are missing: pack rnn-4-pack0001 quarantined: RuntimeError: no luck"
    assert analysis.status_counts == {"ok": 10, "missing": 4}
    assert {epoch: len(examples) for epoch, examples in analysis.examples.items()} == {0: 10, 1: 10}


def test_a_pack_that_was_trained_after_all_is_not_missing(partial: RunDirectory) -> None:
    analysis = prepare_analysis(partial.store, STUDY, splits=2, seed=0, quarantined=[given_up(0), given_up(1)])
    assert analysis.status_counts == {"ok": 10, "missing": 4}
    assert "4 of 14" in analysis.missing
