"""`aelle predict`: the number and interval of the study's AeLLE, its words on strangers, and what it refuses."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from safetensors.torch import save_file
from torch import nn
from typer.testing import CliRunner

from aelle_core.aelle import AeLLE
from aelle_core.analysis.prepare import prepare_analysis
from aelle_core.analysis.saved import fit_aelle, save_analysis
from aelle_core.cli.main import app
from aelle_core.foundation.errors import UserError
from aelle_core.study import RunDirectory, Study, run_study

STUDY = Study(name="predicted", cells=("rnn", "gru"), units=(5,), networks=20, pack_size=10, epochs=2)
NETWORK = "gru-5-00003"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A small study with its AeLLE."""
    run = RunDirectory(tmp_path_factory.mktemp("predicted") / "run")
    run_study(STUDY, run, way="packed")
    parameters = {"steps": 20}
    analysis = prepare_analysis(run.store, STUDY, splits=2, seed=0)
    save_analysis(run, [], fit_aelle(analysis, STUDY, parameters), {"splits": 2, "seed": 0, "regress": "rank"})
    return run


@pytest.fixture
def checkpoint(run: RunDirectory) -> str:
    return str(run.checkpoint("gru-5-pack0000"))


def predicted(run: RunDirectory, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["predict", str(run), *arguments])


def refused(run: RunDirectory, *arguments: str) -> str:
    done = predicted(run, *arguments)
    assert isinstance(done.exception, UserError), done.output
    return str(done.exception)


def written(module: nn.Module, inputs: np.ndarray, directory: Path) -> list[str]:
    save_file(module.state_dict(), directory / "network.safetensors")
    np.save(directory / "inputs.npy", inputs.astype(np.float32))
    return [str(directory / "network.safetensors"), "--inputs", str(directory / "inputs.npy")]


def test_the_number_is_the_aelles_for_the_spectrum_that_is_stored(run: RunDirectory, checkpoint: str) -> None:
    done = predicted(run, checkpoint, "--network", NETWORK)
    assert done.exit_code == 0, done.output
    stored = run.store.read().to_pandas().query("network == @NETWORK and epoch == 2")["spectrum_hidden"].to_numpy()
    model = AeLLE.load(run.analysis / "aelle.safetensors")
    expected, (low,), (high,) = model.predict(np.stack(stored), return_interval=True)
    said = re.search(r"expected final .*loss.*: ([\d.]+) \(90 %: ([\d.]+) to ([\d.]+)\)", done.stdout)
    assert said is not None, done.stdout
    np.testing.assert_allclose([float(number) for number in said.groups()], [expected[0], low, high], atol=2e-3)
    side = "better" if model.predict_high_accuracy(np.stack(stored))[0] else "worse"
    assert f"on the {side} half of predicted" in done.stdout


def test_a_network_unlike_all_is_named_so(run: RunDirectory, tmp_path: Path) -> None:
    torch.manual_seed(0)
    saturated = nn.GRU(8, 5)
    with torch.no_grad():
        for weight in saturated.parameters():
            weight.mul_(60)
    done = predicted(run, *written(saturated, np.random.default_rng(0).standard_normal((3, 8, 8)), tmp_path))
    assert done.exit_code == 0, done.output
    assert "its spectrum is unlike all that the AeLLE has seen (distance " in done.stdout


@pytest.mark.parametrize(
    ("module", "shape", "said"),
    [
        (nn.LSTM(8, 5), (2, 8, 8), "spectra of cell 'lstm': this AeLLE takes hidden-state spectra of 5 exponents"),
        (nn.GRU(3, 5), (2, 8, 3), "a network of 3 inputs: this AeLLE takes networks of 8, of 'digits'"),
        (nn.GRU(8, 5), (2, 30, 8), "spectra with steps=30: this AeLLE takes"),
        (nn.GRU(8, 5, num_layers=2), (2, 8, 8), "a network of 2 layers: this AeLLE takes networks of one"),
    ],
)
def test_what_the_aelle_has_not_learned_is_refused(
    run: RunDirectory, tmp_path: Path, module: nn.Module, shape: tuple[int, ...], said: str
) -> None:
    assert said in refused(run, *written(module, np.zeros(shape), tmp_path))


def test_a_run_without_an_aelle_says_what_makes_one(tmp_path: Path, checkpoint: str) -> None:
    run = RunDirectory(tmp_path / "bare")
    run.prepare(STUDY, {})
    assert f"no AeLLE in '{run}': expected one made by `aelle analyse {run}`" in refused(run, checkpoint)
