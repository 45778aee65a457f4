"""The character language model: its texts and their errors, its codes, its shares, and its losses by hand."""

import hashlib
import math
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from torch.nn import functional

from aelle_core.analysis.trained import load_examples
from aelle_core.cells import get_cell
from aelle_core.foundation.errors import UserError
from aelle_core.study import RunDirectory, Study, run_study
from aelle_core.tasks import Classification, Examples, get_task
from aelle_core.tasks.charlm import CharacterLanguageModel
from aelle_core.training import NetworkSettings, PackTrainer, available_ways
from aelle_core.training.mini_batches import mini_batch

LETTERS = "".join(np.random.default_rng(0).choice(list("etaoin shrdlu.\n"), 6000))
SETTINGS = [NetworkSettings(seed, 0.3, 1e-2) for seed in range(3)]
CPU = torch.device("cpu")


def made(text: Path | str, seed: int = 0, **options: object) -> CharacterLanguageModel:
    task = get_task("charlm", seed=seed, options={"text": str(text), **options})
    assert isinstance(task, CharacterLanguageModel)
    return task


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    path = tmp_path / "letters.txt"
    path.write_text(LETTERS)
    return path


def pack(task: Classification, settings: list[NetworkSettings] = SETTINGS, way: str = "packed") -> PackTrainer:
    return PackTrainer(get_cell("lstm", task.input_size, 7), task, settings, batch_size=16, way=way)


def test_codes_are_the_text_and_no_character_is_in_two_sequences(tmp_path: Path) -> None:
    """A text of as many characters as code points allow, each once: every sequence tells where it is from."""
    text = "".join(chr(0x3400 + code) for code in range(6000))
    (tmp_path / "text").write_text(text, encoding="utf-8")
    task = made(tmp_path / "text", steps=49)
    assert task.classes == task.input_size == 6000
    assert task.vocabulary == "".join(sorted(text))
    splits = task.splits
    parts = [splits.training, splits.validation, splits.test]
    seen = [torch.cat([part.inputs.long(), part.targets[:, -1:]], dim=1) for part in parts]
    assert [len(sequences) for sequences in seen] == [96, 12, 12]
    places = torch.cat(seen)
    assert torch.equal(places.flatten().sort().values, torch.arange(6000))
    for part in parts:
        assert torch.equal(part.targets, part.inputs.long() + 1)
    starts = places[:, 0]
    assert set(((starts[1:] - starts[:-1]) % 6000).tolist()) == {50}  # one stretch, which goes on at the start
    last = made(tmp_path / "text", steps=49, readout="last").splits.training
    assert torch.equal(last.targets, splits.training.targets[:, -1])
    assert torch.equal(last.inputs, splits.training.inputs)


def test_vocabulary_is_sorted_and_codes_take_a_byte(letters: Path) -> None:
    task = made(letters)
    assert task.vocabulary == "\n .adehilnorstu"
    assert task.splits.training.inputs.dtype == torch.uint8
    spelled = "".join(task.vocabulary[code] for code in task.splits.validation.inputs[0])
    assert len(spelled) == 100
    assert spelled in LETTERS


def test_lines_end_alike_and_a_byte_order_mark_is_no_character(tmp_path: Path) -> None:
    (tmp_path / "unix").write_bytes(b"one\ntwo\n" * 300)
    (tmp_path / "windows").write_bytes(b"\xef\xbb\xbf" + b"one\r\ntwo\r\n" * 300)
    (tmp_path / "old").write_bytes(b"one\rtwo\r" * 300)
    texts = [made(tmp_path / name).statement()["text"] for name in ("unix", "windows", "old")]
    assert texts[0]["vocabulary"] == "\nenotw"
    assert texts[0]["sha256"] == texts[1]["sha256"] == texts[2]["sha256"]


def test_python_carries_a_text() -> None:
    task = made("python")
    task.check(32)
    assert len(task.text) > 200_000
    assert "Assignment statements" in task.text
    paragraphs = task.text.split("\n\n")
    assert len(set(paragraphs)) == len(paragraphs)
    assert task.statement()["text"]["sha256"] == hashlib.sha256(task.text.encode()).hexdigest()
    assert len(made("python", characters=20_000).text) == 20_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        ("na\u00efve ".encode("latin-1") * 900, r"is not UTF-8: byte 2 is 0xef"),
        (b"short", "5 characters .* 0 sequences of 100 steps for each network .* at least 32, one mini-batch"),
        (b"abc " * 600, "expected at least 32, one mini-batch"),
    ],
)
def test_texts_that_cannot_be_learnt_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "text").write_bytes(content)
    with pytest.raises(UserError, match=message):
        made(tmp_path / "text").check(32)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a directory, a pipe or a device: expected a file"):
        made(tmp_path).check()
    with pytest.raises(UserError, match=r"nowhere.txt' is not there: expected a file of UTF-8 text"):
        made(tmp_path / "nowhere.txt").check()
    with pytest.raises(UserError, match="'war-and-peace' is not carried along: expected a file"):
        made("war-and-peace").check()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps=0: expected a whole number"),
        ({"characters": 1.5}, "characters=1.5: expected a whole number"),
        ({"share": 0}, "share=0: expected a number above 0 and up to 1"),
        ({"readout": "all"}, "readout='all': expected 'every' or 'last'"),
        ({"sha256": "abc"}, "sha256='abc': expected 64"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        made("python", **options)


def test_an_address_needs_a_hash_and_is_checked_and_kept(
    letters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    right = hashlib.sha256(LETTERS.encode()).hexdigest()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/letters.txt"
        with pytest.raises(UserError, match="comes without a hash"):
            made(address).check()
        with pytest.raises(UserError, match="could not be downloaded"):
            made(address, sha256="0" * 64).check()
        assert made(address, sha256=right).text == LETTERS
        with pytest.raises(UserError, match="could not be downloaded"):
            made(f"{address}?again#sha256={'0' * 64}").check()
        assert made(f"{address}?again#sha256={right}").text == LETTERS
        server.shutdown()
    assert made(address, sha256=right).text == LETTERS  # from the cache
    assert made(letters, sha256=right).text == LETTERS
    with pytest.raises(UserError, match=f"has the SHA-256 {right}: expected 000"):
        made(letters, sha256="0" * 64).check()


@pytest.mark.parametrize("readout", ["every", "last"])
def test_a_uniform_predictor_loses_the_logarithm_of_the_vocabulary(letters: Path, readout: str) -> None:
    task = made(letters, readout=readout)
    trainer = pack(task)
    with torch.no_grad():
        for name in ("readout_weight", "readout_bias"):
            trainer.parameters[name].zero_()
    losses, _ = trainer.evaluate(task.splits.validation)
    torch.testing.assert_close(losses, torch.full((3,), math.log(task.classes)))


@torch.no_grad()
def by_hand(trainer: PackTrainer, index: int, examples: Examples) -> tuple[float, float]:
    """Loss and accuracy of one network: torch.nn.LSTM on one-hot sequences, position by position, in float64."""
    parameters = {name: value[index].double() for name, value in trainer.parameters.items()}
    lstm = torch.nn.LSTM(trainer.cell.input_size, trainer.cell.units).double()
    lstm.load_state_dict({f"{name}_l0": parameters[name] for name in trainer.cell.parameter_shapes()})
    losses, correct = [], []
    for codes, targets in zip(examples.inputs, examples.targets, strict=True):
        hidden, _ = lstm(functional.one_hot(codes.long(), trainer.cell.input_size).double())
        wanted = targets if targets.dim() else targets[None]
        for state, target in zip(hidden[-len(wanted) :], wanted, strict=True):
            scores = parameters["readout_weight"] @ state + parameters["readout_bias"]
            losses.append(float(scores.exp().sum().log() - scores[target]))
            correct.append(float(scores.argmax() == target))
    return sum(losses) / len(losses), sum(correct) / len(correct)


@pytest.mark.parametrize("way", available_ways(get_cell("lstm", 15, 7), CPU))
@pytest.mark.parametrize("readout", ["every", "last"])
def test_losses_are_the_mean_over_positions(letters: Path, way: str, readout: str) -> None:
    """On validation sequences, which all networks share, and on each network's own training sequences."""
    task = made(letters, readout=readout, steps=20)
    trainer = pack(task, way=way)
    shared, own = trainer.evaluate(task.splits.validation), trainer.evaluate_training()
    for index, settings in enumerate(SETTINGS):
        expected = by_hand(trainer, index, task.splits.validation)
        assert (float(shared[0][index]), float(shared[1][index])) == pytest.approx(expected, rel=1e-5)
        chosen, training = task.own_examples(settings.seed), task.splits.training
        expected = by_hand(trainer, index, Examples(training.inputs[chosen], training.targets[chosen]))
        assert (float(own[0][index]), float(own[1][index])) == pytest.approx(expected, rel=1e-5)


def test_a_network_sees_its_share_and_no_other_sequence(letters: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = made(letters, steps=20)
    trainer = pack(task)
    seen: list[torch.Tensor] = []

    def watched(examples: Examples, chosen: torch.Tensor, readout: str) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(chosen)
        return mini_batch(examples, chosen, readout)

    monkeypatch.setattr("aelle_core.training.gradient.trainer.mini_batch", watched)
    trainer.train_epoch()
    trainer.train_epoch()
    rows = torch.cat(seen, dim=1)
    assert rows.shape == (3, 2 * round(0.2 * len(task.splits.training)))
    for settings, row in zip(SETTINGS, rows, strict=True):
        assert torch.equal(row.sort().values[::2], task.own_examples(settings.seed).sort().values)
        assert torch.equal(row.sort().values[1::2], row.sort().values[::2])
    assert len({tuple(row.unique().tolist()) for row in rows}) == 3


@pytest.mark.parametrize("way", available_ways(get_cell("lstm", 15, 7), CPU))
def test_a_pack_learns_as_its_networks_do_alone(letters: Path, way: str) -> None:
    task = made(letters, steps=20)
    together = list(pack(task, way=way).run(2))
    for index, settings in enumerate(SETTINGS):
        for result, other in zip(pack(task, [settings], way).run(2), together, strict=True):
            torch.testing.assert_close(result.train_loss[0], other.train_loss[index], rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(result.validation_loss[0], other.validation_loss[index], rtol=1e-5, atol=1e-6)


def test_a_study_of_two_sizes_is_stored_and_its_spectra_brought_to_the_larger(letters: Path, tmp_path: Path) -> None:
    options = {"text": str(letters), "steps": 20}
    study = Study(
        task="charlm", task_options=options, cells=("lstm",), units=(4, 7), networks=2, epochs=1, batch_size=16
    )
    run = RunDirectory(tmp_path / "run")
    run_study(study, run, way="packed")
    assert run.read_settings()["data"]["text"]["vocabulary"] == "\n .adehilnorstu"
    examples, _ = load_examples(run.store, study)
    assert examples[1].spectra.shape == (4, 7)
    rows = {row["network"]: row for row in run.store.read(epoch=1).to_pylist()}
    for name, spectrum in zip(examples[1].networks, examples[1].spectra, strict=True):
        stored = rows[name]["spectrum_hidden"]
        assert len(stored) == int(name.split("-")[1])
        assert spectrum[[0, -1]] == pytest.approx([stored[0], stored[-1]])
        if len(stored) == 4:
            assert spectrum[1] == pytest.approx((stored[0] + stored[1]) / 2, rel=1e-6)


def test_what_can_be_known_is_learnt(tmp_path: Path) -> None:
    """Each vowel is followed by its own consonant, then comes any vowel: ln(5) nats at every other character."""
    vowels = np.random.default_rng(0).choice(list("aeiou"), 20_000)
    (tmp_path / "text").write_text("".join(vowel + "bcdfg"["aeiou".index(vowel)] for vowel in vowels))
    results = list(pack(made(tmp_path / "text", steps=20)).run(12))
    assert float(results[0].validation_loss.min()) > 2.0
    assert results[-1].validation_loss.tolist() == pytest.approx([math.log(5) / 2] * 3, abs=0.03)


@pytest.mark.parametrize(
    ("name", "said"),
    [("a\0b", "it has a NUL"), ("a" * 5000, r"aaa\.\.\.' can be no file's name: it has 5000 characters")],
)
def test_a_name_that_no_file_can_have_is_refused(name: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        made(name).check(8)
