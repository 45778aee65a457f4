"""Models and spectra that come with the package."""

import hashlib
import json
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import f1_score

from aelle_core import AeLLE, pretrained
from aelle_core.aelle.accepted_spectra import TakenSpectra
from aelle_core.analysis.shipped.__main__ import card
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.interpolation import interpolate_spectrum
from aelle_core.pretrained import MANIFEST, load_spectra, manifest
from aelle_core.store.schema import SCHEMA
from aelle_core.study import Study

NAMES = sorted(manifest())


def test_digits_smnist_and_target_are_there() -> None:
    assert {"digits", "smnist", "target"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_model_tells_its_own_studys_networks_apart(name: str) -> None:
    """The spectra beside it, through the model: what it was fitted to, it must know."""
    model, rows, entry = AeLLE.from_pretrained(name), load_spectra(name), manifest()[name]
    takes = model.takes_
    assert takes is not None
    assert set(rows.schema.names) <= set(SCHEMA.names)  # without what was not measured yet when it was made
    for column in rows.schema:
        assert column.type == SCHEMA.field(column.name).type
    identities = {Study.from_dict(settings).identity for settings in entry["studies"]}
    assert (set(rows["study"].to_pylist()), rows.num_rows) == (identities, entry["spectra"]["rows"])
    last = [row for row in rows.to_pylist() if row["epoch"] == max(rows["epoch"].to_pylist())]
    known = [row for row in last if row[f"spectrum_{takes.kind}"]]
    stored = [np.array(row[f"spectrum_{takes.kind}"]) for row in known]
    spectra = np.stack([interpolate_spectrum(spectrum, takes.exponents) for spectrum in stored])
    goal = entry["studies"][0].get("goal", "loss")
    losses = np.array([row["validation_loss" if goal == "loss" else goal] for row in known])
    assert np.isfinite(model.transform(spectra)).all()
    good = losses < entry["threshold"]
    predicted = model.predict(spectra)
    rank = spearmanr(predicted, losses).statistic
    assert rank > 0.4
    if rank > 0.6:  # in `char_ranges` little is told: docs/results/README.md says so
        assert f1_score(good, predicted < entry["threshold"]) > 2 * good.mean() / (1 + good.mean())


@pytest.mark.parametrize("name", NAMES)
def test_what_a_model_takes_is_kept_when_it_is_saved(name: str, tmp_path: Path) -> None:
    model = AeLLE.from_pretrained(name)
    again = AeLLE.load(model.save(tmp_path / "model.safetensors"))
    assert again.takes_ == model.takes_
    assert model.fit(np.random.default_rng(0).normal(size=(30, 5)), np.arange(1, 31)).takes_ is None


def test_other_spectra_are_refused() -> None:
    model = AeLLE.from_pretrained("smnist")
    spectra = -np.sort(np.random.default_rng(0).exponential(size=(3, 32)))
    assert model.predict(spectra).shape == (3,)
    with pytest.raises(UserError, match=r"exponents=64: this AeLLE takes hidden-state spectra of 32 exponents, desc"):
        model.predict(np.concatenate([spectra, spectra - 3], axis=1))
    with pytest.raises(UserError, match=r"exponents=31: this AeLLE takes"):
        model.transform([spectra[0], spectra[1][:31]])
    with pytest.raises(UserError, match=r"spectra that rise: .* nats per step over 28 steps of 'smnist'"):
        model.encode(spectra[:, ::-1])
    takes = model.takes_
    assert takes is not None
    takes.check(task="smnist", cell="lstm", kind="hidden", exponents=32, steps=28, unit="nats per step")
    for name, value in {
        "kind": "full",
        "steps": 100,
        "unit": "bits per step",
        "cell": "rank1",
        "task": "digits",
    }.items():
        with pytest.raises(UserError, match=rf"spectra (with {name}=|of cell ){value!r}: this AeLLE takes hidden"):
            takes.check(**{name: value})  # type: ignore[arg-type]


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"unknown pretrained AeLLE 'digit': expected one of char, .*mean 'digits'"):
        AeLLE.from_pretrained("digit")
    with pytest.raises(UserError, match=r"unknown pretrained AeLLE 'mnist': expected one of char, .*digits, .*smnist"):
        load_spectra("mnist")


def test_a_changed_or_missing_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = tmp_path / "pretrained"
    shutil.copytree(str(files(pretrained)), copied)
    monkeypatch.setattr(pretrained, "files", lambda package: copied)
    AeLLE.from_pretrained("digits")
    path = copied / "digits.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        UserError, match=r"digits\.safetensors' has SHA-256 [0-9a-f]{64}: expected [0-9a-f]{64}; install"
    ):
        AeLLE.from_pretrained("digits")
    path.unlink()
    with pytest.raises(UserError, match=r"digits\.safetensors' cannot be read .*: expected a file of this package"):
        AeLLE.from_pretrained("digits")


def test_the_manifest_knows_every_file_and_no_place_of_the_machine_that_made_it() -> None:
    home = Path(str(files(pretrained)))
    entered = {
        entry[part]["file"]: entry[part]["sha256"]
        for entry in manifest().values()
        for part in ("model", "spectra", "tables")
    }
    cards = {f"{name}.{card}" for name in manifest() for card in ("dataset.md", "model.md", "croissant.json")}
    others = {MANIFEST, *cards}
    shipped = {
        path.name: path
        for path in home.iterdir()
        if path.suffix != ".py" and path.name not in others and path.is_file()
    }
    assert set(shipped) == set(entered)
    assert all((home / card).is_file() for card in cards)
    for name, path in shipped.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == entered[name]
    text = json.dumps(manifest())
    assert "/work" not in text
    assert "/tmp" not in text
    for entry in manifest().values():
        assert sum(shipped[entry[part]["file"]].stat().st_size for part in ("model", "spectra", "tables")) < 3 * 2**20


def test_the_data_card_says_what_the_manifest_says(repository: Path) -> None:
    assert card() in (repository / "docs" / "guide" / "pretrained.md").read_text()


def test_what_is_taken_is_said_in_words() -> None:
    takes = TakenSpectra("digits", ("gru", "lstm"), "full", 64, 22)
    expected = "full-state spectra of 64 exponents, descending, nats per step over 22 steps of 'digits', of gru, lstm"
    assert str(takes) == expected
