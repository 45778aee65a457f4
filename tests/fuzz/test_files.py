"""Damaged files of each format: read, or refused in one sentence."""

import gzip
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from aelle_core.aelle.estimator import AeLLE
from aelle_core.loading.networks import load_array, load_network
from aelle_core.study import RunDirectory, Study, run_study
from aelle_core.tasks.idx import read_idx
from aelle_core.tasks.texts import read_text
from aelle_core.training import read_checkpoint
from tests.fuzz.doors import assert_result_or_sentence, damaged

INPUTS = 200
STUDY = Study(name="fuzz", cells=("rnn",), units=(3,), networks=2, pack_size=2, epochs=1)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    torch.set_num_threads(1)
    run = RunDirectory(tmp_path_factory.mktemp("fuzz"))
    run_study(STUDY, run, way="packed")
    return run


Reader = Callable[[Path], object]


def formats(run: RunDirectory, folder: Path) -> dict[str, tuple[Path, Reader]]:
    """A whole file of each format, and what reads it."""
    np.save(folder / "whole.npy", np.zeros((2, 3, 2), np.float32))
    save_file({name: value.detach() for name, value in torch.nn.GRU(2, 3).named_parameters()}, folder / "w.safetensors")
    idx = struct.pack(">BBBB3I", 0, 0, 8, 3, 2, 3, 4) + bytes(24)
    (folder / "plain-idx").write_bytes(idx)
    (folder / "idx.gz").write_bytes(gzip.compress(idx))
    (folder / "text.txt").write_text("War und Frieden, ä€\n" * 9)
    spectra = -np.sort(np.random.default_rng(0).exponential(size=(24, 4)))
    AeLLE(steps=1, latent_size=2, members=1).fit(spectra, np.exp(spectra[:, 0])).save(folder / "model.safetensors")
    root = Path(str(run))
    (checkpoint,) = root.glob("checkpoints/*.safetensors")
    fragment = sorted(root.glob("spectra/study=*/cell=*/epoch=1/*.parquet"))[0]
    return {
        "npy": (folder / "whole.npy", lambda path: load_array(path, "(batch, time, features)")),
        "state_dict": (folder / "w.safetensors", load_network),
        "idx": (folder / "plain-idx", read_idx),
        "gzipped idx": (folder / "idx.gz", read_idx),
        "text": (folder / "text.txt", lambda path: read_text(str(path))),
        "model": (folder / "model.safetensors", AeLLE.load),
        "checkpoint": (checkpoint, read_checkpoint),
        "network of a checkpoint": (checkpoint, lambda path: load_network(path, "rnn-3-00001")),
        "fragment": (fragment, lambda path: run.store.read()),
        "settings": (run.path / "study.json", lambda path: run.study()),
    }  # type: ignore[return-value]


@pytest.mark.parametrize("name", ["npy", "state_dict", "idx", "gzipped idx", "text", "model", "checkpoint",
                                  "network of a checkpoint", "fragment", "settings"])  # fmt: skip
def test_a_damaged_file_is_read_or_refused_in_one_sentence(run: RunDirectory, tmp_path: Path, name: str) -> None:
    copy = RunDirectory(shutil.copytree(str(run), tmp_path / "run"))
    path, read = formats(copy, tmp_path)[name]
    whole, draw = path.read_bytes(), random.Random(f"files/{name}")
    assert assert_result_or_sentence(lambda: read(path), "the whole file")
    refused = 0
    for number in range(INPUTS):
        path.write_bytes(damaged(draw, whole))
        refused += not assert_result_or_sentence(lambda: read(path), f"{name} {number}")
    assert refused > 0, "no damage was seen"


@pytest.mark.parametrize("shape", [(10**6, 10**6, 2), (10**30, 1, 1), (-1, 2, 2), (1,) * 70, (2.5, 1)])
def test_an_array_that_declares_more_than_it_holds_is_refused_before_memory_is_taken(
    tmp_path: Path, shape: tuple[float, ...]
) -> None:
    header = repr({"descr": "<f4", "fortran_order": False, "shape": shape}).encode()
    header += b" " * (63 - (len(header) + 10) % 64) + b"\n"
    path = tmp_path / "x.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 64)
    assert not assert_result_or_sentence(lambda: load_array(path, "(batch, time, features)"), shape)
