"""The command line: mistakes are one sentence and exit code 2, before anything is trained."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from aelle_core.study import RunDirectory, Study, run_study
from tests.helpers.command import aelle


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Away from the source tree, where a study's default directory may hold one already."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["study", "digts"],
            "scaled-target, small-char, small-smnist, small-target, wide-smnist (did you mean 'digits'?)",
        ),
        (["study", "--cells", "rnn,grue"], "unknown cell 'grue'"),
        (["study", "--task", "mnist"], "unknown task 'mnist'"),
        (["study", "--epochs", "-3"], "epochs=-3: expected a whole number from 1 to 10000"),
        (["study", "--networks", "0"], "networks=0"),
        (["study", "--units", "3,x"], "--units '3,x'"),
        (["study", "--units", "99999999"], "units=99999999"),
        (["study", "--task", "smnist", "--data", "/nonexistent"], "'/nonexistent' is not there"),
        (["study", "paper-char"], "text 'war-and-peace' is not carried along: expected a file"),
        (["study", "small-char", "--data", "/usr"], "text '/usr' is a directory, a pipe or a device: expected a file"),
        (
            ["study", "small-char", "--data", "/dev/null"],
            "'/dev/null' is a directory, a pipe or a device",
        ),
        (["study", "small-smnist", "--data", "/nonexistent"], "'/nonexistent' is not there"),
        (["study", "-o", "/proc/aelle"], "expected a directory that can be read and written"),
        (["study", "--cpus", "0"], "--cpus 0: expected a number above 0"),
        (["study", "--way", "fused"], "way 'fused' cannot train 'asrnn' on cpu: torch.nn has no such layer"),
        (["sweep", "--way", "pakced"], "unknown way 'pakced'"),
        (["analyse", "/nonexistent"], "no study in '/nonexistent'"),
        (["analyse", "a", "b"], "2 runs without --together: expected one run, or several and a directory"),
        (["analyse", "a", "--together", "b"], "1 run with --together: expected one run, or several and a directory"),
        (["analyse", "/none", "/nor", "--together", "/nowhere"], "no study in '/none'"),
        (["report", "/nonexistent"], "no study in '/nonexistent'"),
        (
            ["spectrum", "/nonexistent.pt"],
            "'/nonexistent.pt' is not there: expected a network in a .safetensors or .pt2",
        ),
    ],
)
def test_mistakes_are_one_sentence_and_exit_code_2(arguments: list[str], message: str) -> None:
    done = aelle(*arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_mistake_from_the_shell() -> None:
    """Nothing that is imported has a word to say beside the sentence."""
    command = [sys.executable, "-m", "flows.command.main", "study", "--cells", "rnn,grue"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("aelle: unknown cell 'grue'")
    assert len(done.stderr.splitlines()) == 1


def test_a_directory_of_another_study_is_refused(tmp_path: Path) -> None:
    RunDirectory(tmp_path / "run").prepare(Study(name="digits"), {})
    done = aelle("study", "digits", "-o", str(tmp_path / "run"))
    assert done.returncode == 2
    assert "name another output directory" in done.stderr
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("text")
    done = aelle("study", "digits", "-o", str(tmp_path / "other"))
    assert done.returncode == 2
    assert "holds other files" in done.stderr


@pytest.mark.parametrize("how", [[], ["--dry-run"]])
def test_a_study_too_small_to_be_analysed_is_refused_before_it_trains(how: list[str], tmp_path: Path) -> None:
    done = aelle("study", "digits", "--cells", "gru", "--networks", "2", "-o", str(tmp_path / "run"), *how)
    assert (done.returncode, done.stdout) == (2, "")
    assert "2 networks cannot be split into 70, 10 and 20 %: expected at least 3" in done.stderr
    assert not (tmp_path / "run").exists()


def test_dry_run_shows_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    done = aelle("study", "digits", "--cells", "rnn,lem", "--dry-run", "-o", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    assert "64 networks in 4 packs" in done.stdout
    one = aelle("study", "--networks", "4", "--cells", "rnn", "--epochs", "1", "--dry-run")
    assert "4 networks in 1 pack, 1 epoch of 22 steps, 2 fragments" in " ".join(one.stdout.split()), one.stdout
    assert "of training, validation and spectra on cpu" in " ".join(done.stdout.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "networks"),
    [(["small-char", "--units", "32"], "80 networks in 5 packs"), (["small-target"], "240 networks in 15 packs")],
)
def test_dry_run_of_tasks_of_other_kinds(arguments: list[str], networks: str) -> None:
    done = aelle("study", *arguments, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert networks in done.stdout
    assert "of training, validation and spectra on cpu" in " ".join(done.stdout.split())


def test_plan_measures_the_ways_and_keeps_their_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    done = aelle("plan", "digits", "--cells", "rnn", "--networks", "4")
    assert done.returncode == 0, done.stderr
    for word in ("rnn 32", "compiled", "packed", "fused", "4 networks, 12 epochs: about"):
        assert word in done.stdout
    files = list((tmp_path / "cache").rglob("rnn-32-*.json"))
    assert len(files) == 1
    measured = files[0].read_text()
    assert aelle("plan", "digits", "--cells", "rnn", "--networks", "4").returncode == 0
    assert files[0].read_text() == measured


def test_spectrum_of_a_state_dict_and_of_a_checkpoint(tmp_path: Path) -> None:
    layer = torch.nn.LSTM(3, 5)
    save_file(layer.state_dict(), tmp_path / "lstm.safetensors")
    np.save(tmp_path / "inputs.npy", np.random.default_rng(0).standard_normal((2, 7, 3)))
    picture, table = tmp_path / "spectrum.png", tmp_path / "spectrum.csv"
    done = aelle(
        "spectrum", str(tmp_path / "lstm.safetensors"), "--inputs", str(tmp_path / "inputs.npy"),
        "--plot", str(picture), "--output", str(table),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Kaplan-Yorke dimension" in done.stdout
    assert picture.stat().st_size > 5000
    assert len(table.read_text().splitlines()) == 11
    run = RunDirectory(tmp_path / "run")
    run_study(Study(cells=("cornn",), units=(4,), networks=2, epochs=1), run, way="packed")
    done = aelle("spectrum", str(run.checkpoint("cornn-4-pack0000")), "--network", "cornn-4-00001")
    assert done.returncode == 0, done.stderr
    assert "of 8" in done.stdout
