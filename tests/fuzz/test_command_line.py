"""Any words on the command line: a result, or one sentence and exit code 2."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.fuzz.doors import WORDS
from tests.helpers.command import aelle

INPUTS = 300
OPTIONS = {
    "spectrum": ("--inputs", "--initial-state", "--k", "--steps", "--warmup", "--jacobian", "--precision", "--running",
                 "--device", "--layer", "--network", "--plot", "--output"),
    "study": ("--cpus", "--gpus", "--networks", "--epochs", "--units", "--cells", "--seed", "--task", "--data",
              "--spectra", "--way", "--output", "--splits", "--regress", "--option"),
    "sweep": ("--cpus", "--gpus", "--networks", "--epochs", "--units", "--cells", "--seed", "--output"),
    "predict": ("--inputs", "--network"),
    "report": (),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a network, sequences, a loop of links and a pipe."""
    monkeypatch.chdir(tmp_path)
    os.symlink("loop", "loop")
    os.mkfifo("pipe")
    os.mkdir("folder")
    np.save("x.npy", np.random.default_rng(0).normal(size=(2, 6, 2)).astype(np.float32))
    save_file({name: value.detach() for name, value in torch.nn.GRU(2, 3).named_parameters()}, "w.safetensors")
    # What a dry run measures takes minutes, and is no answer to what was typed.
    monkeypatch.setattr("flows.command.ways.show_ways", lambda *_, **__: None)
    return tmp_path


def test_any_words_give_a_result_or_a_sentence(folder: Path) -> None:
    draw = random.Random("command line")
    codes = {0: 0, 2: 0}
    words = [word for word in WORDS if not word.startswith("s3://")]
    for _ in range(INPUTS):
        command = draw.choice(sorted(OPTIONS))
        named = [draw.choice(words)] if draw.random() < 0.3 else []
        arguments = {
            "spectrum": [*(named or ["w.safetensors"]), "--inputs", "x.npy"],
            "study": [*(named or ["digits"]), "--dry-run"],
            "sweep": [*(named or ["digits"]), "--dry-run"],
            "predict": [*(named or ["folder"]), "w.safetensors"],
            "report": named or ["folder"],
        }[command]
        if OPTIONS[command]:
            arguments += [draw.choice(OPTIONS[command]), draw.choice(words)]
        try:
            done = aelle(command, *arguments)
        except BaseException as error:
            error.add_note(f"the command was {[command, *arguments]!r}")
            raise
        said = done.stderr.strip()
        assert done.returncode in (0, 2), (command, arguments, done.returncode, said)
        if done.returncode == 2:
            assert "Usage" in said or said.count("\n") == 0, (command, arguments, said)
        codes[done.returncode] += 1
    assert min(codes.values()) > 0, codes
