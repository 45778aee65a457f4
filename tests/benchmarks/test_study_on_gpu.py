"""The study on a box with torch, numpy, scikit-learn, pyarrow and matplotlib only."""

import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from aelle_core.store.dataset import SpectraStore
from benchmarks.training import study_gpu
from benchmarks.training.profiles import group_of
from benchmarks.training.study_records import Records

ON_THE_BOX = ("torch", "numpy", "scikit-learn", "pyarrow", "matplotlib")
ARGUMENTS = ["--device", "cpu", "--cells", "rnn,noisy", "--networks", "3", "--epochs", "1", "--images", "256"]

# Packages that are not there are not found: importlib.util.find_spec says None, and an import fails as it would there.
WITHOUT = """
import runpy, sys
from importlib.machinery import PathFinder

absent = set(sys.argv.pop(1).split(","))

class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] in absent else PathFinder.find_spec(name, path, target)

place = sys.meta_path.index(PathFinder)
sys.meta_path[place:] = [Finder]  # finders of editable installs go as well
sys.path.insert(0, "")
"""
THE_STUDY = 'runpy.run_module("benchmarks.training.study_gpu", run_name="__main__", alter_sys=True)'


def absent_packages() -> set[str]:
    """Modules of all installed distributions that the box does not have, not even through what it has."""
    there: set[str] = set()
    waiting = [canonicalize_name(name) for name in ON_THE_BOX]
    while waiting:
        name = waiting.pop()
        if name in there:
            continue
        there.add(name)
        try:
            needed = [Requirement(text) for text in requires(name) or ()]
        except PackageNotFoundError:  # for another system
            continue
        plain = [
            requirement
            for requirement in needed
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        ]
        waiting += [canonicalize_name(requirement.name) for requirement in plain]
    homes = packages_distributions()
    return {
        module
        for module, distributions in homes.items()
        if not {canonicalize_name(distribution) for distribution in distributions} & there
        and module not in ("aelle_core", "flows")
    }


def run(*arguments: str, program: str = THE_STUDY) -> subprocess.CompletedProcess[str]:
    absent = absent_packages()
    assert {"numba", "rich", "typer", "pooch", "safetensors", "prefect", "ray", "pydantic"} <= absent
    assert not absent & {"torch", "scipy", "sklearn", "matplotlib"}
    # Threads of OpenMP that wait for a core that another test has spin, and take it from that.
    return subprocess.run(
        [sys.executable, "-c", WITHOUT + program, ",".join(sorted(absent)), *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_it_runs_there_goes_on_and_says_what_it_left_out(
    mnist_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    options = ["--data", str(mnist_directory), "--output", str(output)]
    study_gpu.main([*ARGUMENTS, *options, "--minutes", "0"])
    assert "Left out, as the time was over: rnn-64-pack0000, noisy-64-pack0000." in capsys.readouterr().out

    done = run(*ARGUMENTS, *options)
    assert done.returncode == 0, done.stderr
    rows = SpectraStore(output / "spectra").read()
    assert sorted(set(zip(rows["cell"].to_pylist(), rows["epoch"].to_pylist(), strict=True))) == [
        ("noisy", 0),
        ("noisy", 1),
        ("rnn", 0),
        ("rnn", 1),
    ]
    assert len(rows) == 12
    assert all(len(exponents) == 64 for exponents in rows["spectrum_hidden"].to_pylist())
    assert "| all | 6 | 6 |" in (output / "study-gpu.md").read_text()

    # Killed in the middle of a pack: its first epoch is stored, its last is not.
    lost = SpectraStore(output / "spectra").fragment(rows["study"][0].as_py(), "noisy", "noisy-64-pack0000", 1)
    lost.unlink()
    again = run(*ARGUMENTS, *options)
    assert again.returncode == 0, again.stderr
    assert "1/1 noisy-64-pack0000" in again.stdout
    assert SpectraStore(output / "spectra").read().equals(rows)
    assert len(json.loads((output / "timings.json").read_text())["packs"]) == 2


def test_a_pack_is_trained_there_in_the_fastest_way(tmp_path: Path) -> None:
    """Without what keeps the ways' times."""
    program = """
from aelle_core.study import RunDirectory, Study, cohorts, run_pack
study = Study(cells=("rnn",), units=(4,), networks=2, epochs=1)
run = RunDirectory(sys.argv[1])
run.prepare(study, {})
print(run_pack(study, cohorts(study)[0].packs[0], run, checkpoints=False).stored)
"""
    done = run(str(tmp_path), program=program)
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr


def test_another_way_than_was_begun_is_refused(mnist_directory: Path, tmp_path: Path) -> None:
    options = ["--data", str(mnist_directory), "--output", str(tmp_path / "run")]
    study_gpu.main([*ARGUMENTS, *options, "--way", "packed"])
    page = (tmp_path / "run" / "study-gpu.md").read_text()
    assert "--device cpu --cells rnn,noisy --networks 3 --epochs 1 --images 256 --way packed" in page
    with pytest.raises(SystemExit, match=r"--way compiled: .* was begun in the ways packed"):
        study_gpu.main([*ARGUMENTS, *options, "--way", "compiled"])
    with pytest.raises(SystemExit, match="unknown way 'pakced'"):
        study_gpu.main([*ARGUMENTS, *options, "--way", "pakced"])


def test_other_settings_in_the_same_folder_are_refused(mnist_directory: Path, tmp_path: Path) -> None:
    options = ["--data", str(mnist_directory), "--output", str(tmp_path), "--minutes", "0"]
    study_gpu.main([*ARGUMENTS, *options])
    with pytest.raises(SystemExit, match="name another output directory"):
        study_gpu.main([*ARGUMENTS, "--epochs", "2", *options])


def test_predictions_learn_from_packs(tmp_path: Path) -> None:
    records = Records(tmp_path / "timings.json")
    assert (records.correction(), records.spectra_seconds_per_network()) == (1.0, 0.0)
    pack = {
        "cell": "rnn",
        "networks": 5,
        "epochs": 1,
        "seconds": 8.0,
        "training": 6.0,
        "spectra": 1.0,
        "predicted": 2.0,
    }
    records.path.write_text(json.dumps({"starts": {}, "packs": [pack]}))
    read = Records.read(records.path)
    assert read.correction() == 3.0
    assert read.spectra_seconds_per_network() == 0.1


@pytest.mark.parametrize(
    ("name", "group"),
    [
        (
            "sm90_xmma_gemm_f32f32_f32f32_f32_tn_n_tilesize128x128x32_execute_kernel",
            "matrix products",
        ),
        ("void cutlass::Kernel2<cutlass_80_simt_sgemm_128x64_8x5_nn_align1>", "matrix products"),
        ("aten::baddbmm", "matrix products"),
        ("void at::native::vectorized_elementwise_kernel<4, at::native::tanh_kernel_cuda>", "pointwise"),
        ("triton_poi_fused_add_tanh_0", "pointwise"),
        ("void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float>>", "reductions"),
        ("Memcpy DtoD (Device -> Device)", "copies"),
    ],
)
def test_kernels_have_their_kind(name: str, group: str) -> None:
    assert group_of(name) == group
