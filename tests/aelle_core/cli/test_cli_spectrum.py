"""`aelle spectrum`: what it prints and writes, what it makes of a spectrum in words, and what it refuses."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from safetensors.torch import save_file
from torch import Tensor, nn
from typer.testing import CliRunner

from aelle_core import LyapunovSpectrum, lyapunov_spectrum
from aelle_core.cli.main import app
from aelle_core.cli.spectrum_report import reading, unresolved
from aelle_core.foundation.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore:The tensor attributes")  # of torch.export, about recurrent layers


class Inside(nn.Module):
    """A GRU behind a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.layer = nn.Linear(3, 4), nn.GRU(4, 10, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.encoder(x))[0]


class Chaos(nn.Module):
    """A random network as step(x, state), with twice the gain that makes it chaotic."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(40, 40) * 2 / 40**0.5)

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        return torch.tanh(state @ self.weight + x)


@pytest.fixture(scope="module")
def networks() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {"lstm": nn.LSTM(3, 10, batch_first=True), "inside": Inside(), "step": Chaos()}


@pytest.fixture(scope="module")
def inputs() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((4, 30, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, networks: dict[str, nn.Module], inputs: np.ndarray) -> Path:
    directory = tmp_path_factory.mktemp("files")
    save_file(networks["lstm"].state_dict(), directory / "lstm.safetensors")
    examples = {"inside": (torch.zeros(2, 5, 3),), "step": (torch.zeros(1, 1), torch.zeros(1, 40))}
    for name, example in examples.items():
        torch.export.save(torch.export.export(networks[name], example), directory / f"{name}.pt2")
    for name in ("model.pt", "model.h5"):
        (directory / name).touch()
    np.save(directory / "x.npy", inputs)
    np.save(directory / "small.npy", 0.1 * inputs[..., :1])
    np.save(directory / "state.npy", np.random.default_rng(1).standard_normal((4, 40)))
    return directory


@pytest.fixture(autouse=True)
def _there(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(app, ["spectrum", *arguments], env=environment)


def done(*arguments: str, **environment: str) -> Result:
    result = run(*arguments, **environment)
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def printed(*arguments: str) -> dict[str, Any]:
    return json.loads(done(*arguments, "--json").stdout)


def test_a_program_and_its_module_have_the_same_spectrum(networks: dict[str, nn.Module], inputs: np.ndarray) -> None:
    expected = lyapunov_spectrum(networks["inside"], torch.from_numpy(inputs), warmup=5)
    shown = printed("inside.pt2", "--inputs", "x.npy", "--warmup", "5")
    np.testing.assert_allclose(shown["exponents"], expected.exponents, rtol=0, atol=1e-9)
    np.testing.assert_allclose(shown["stderr"], expected.stderr, rtol=0, atol=1e-9)
    step, x = networks["step"], torch.from_numpy(0.1 * inputs[..., :1])
    expected = lyapunov_spectrum(step, x, initial_state=np.load("state.npy"))
    shown = printed("step.pt2", "--inputs", "small.npy", "--initial-state", "state.npy")
    np.testing.assert_allclose(shown["exponents"], expected.exponents, rtol=0, atol=1e-9)


def test_the_table_and_the_facts_of_a_network_that_forgets(networks: dict[str, nn.Module], inputs: np.ndarray) -> None:
    expected = lyapunov_spectrum(networks["lstm"], inputs)
    lines = done("lstm.safetensors", "--inputs", "x.npy").stdout.splitlines()
    assert lines[0] == "LSTM, 3 inputs, 10 units"
    assert lines[1].split("  ")[0] == "index"
    assert lines[2].split()[:2] == ["1", f"{expected.maximum:.6f}"]
    assert lines[10].strip() == "..."  # the middle of 20
    assert [line.split()[0] for line in lines[11:15]] == ["17", "18", "19", "20"]
    facts = {name.strip(): value for name, value in (line.split(": ", 1) for line in lines[15:])}
    assert facts["largest exponent"] == f"{expected.maximum:.6f} nats/step +- {expected.stderr[0]:.2g}"
    assert facts["which means"].startswith("below 0: nearby states merge; the network remembers a disturbance for")
    assert f"about {-1 / expected.maximum:.3g} steps" in facts["which means"]
    assert facts["mean exponent"] == f"{expected.mean:.6f} nats/step"
    assert facts["sum"] == f"{expected.exponents.sum():.6f} nats/step: volumes of states shrink"
    assert facts["Kaplan-Yorke dimension"] == "0.000 of 20: no direction grows"
    assert facts["entropy rate, at most"].startswith("0.000000 nats/step")
    assert "log |det J|" in facts["sum rule residual"]
    assert facts["dead directions"] == "0"
    assert facts["not resolved"] == "0 of 20: rounding has spoilt none"
    assert facts["sequences x steps"] == "4 x 30"
    assert facts["precision"] == "exact (float64)"
    assert facts["time taken"].endswith(" s")


def test_a_chaotic_network_and_part_of_its_spectrum() -> None:
    options = ("step.pt2", "--inputs", "small.npy", "--initial-state", "state.npy")
    output = done(*options).stdout
    assert "above 0, chaotic: nearby states separate, by a factor e every" in output
    assert "no direction grows" not in output
    output = done(*options, "--k", "3", "--warmup", "10", "--no-check", "--running", "10").stdout
    assert "Kaplan-Yorke dimension: not known from 3 of 40 exponents; raise --k" in output
    assert "sum rule residual: not known: it needs all exponents" in output
    assert "not resolved: not checked (--no-check)" in output
    assert "4 x 20, after 10 steps of warm-up" in output
    assert "after steps  exponents so far" in output
    assert [line.split()[0] for line in output.splitlines() if line.startswith(("10 ", "20 "))] == ["10", "20"]


def test_options_reach_the_computation() -> None:
    base = ("lstm.safetensors", "--inputs", "x.npy")
    assert printed(*base, "--precision", "fast")["precision"] == "fast"
    assert printed(*base, "--device", "cpu", "--steps", "7")["steps"] == 7
    shown = printed(*base, "--jacobian", "hidden", "--no-check", "--running", "15")
    assert (shown["size"], shown["jacobian"], shown["rounding_error"], shown["resolved"]) == (10, "hidden", None, None)
    assert shown["running_steps"] == [15, 30]
    np.testing.assert_allclose(shown["running"][-1], shown["exponents"])


def test_fast_falls_back_to_exact_and_says_so(files: Path, networks: dict[str, nn.Module]) -> None:
    harsh = {name: 20 * value for name, value in networks["lstm"].state_dict().items()}
    save_file(harsh, files / "harsh.safetensors")
    output = done("harsh.safetensors", "--inputs", "x.npy", "--precision", "fast").stdout
    assert "precision: exact (float64), as the Jacobians are too ill-conditioned for fast" in output


def test_json_holds_everything_even_what_is_not_finite(files: Path, inputs: np.ndarray) -> None:
    dead = nn.RNN(3, 4, nonlinearity="tanh")
    nn.init.zeros_(dead.weight_hh_l0)
    save_file(dead.state_dict(), files / "dead.safetensors")
    np.save("one.npy", inputs[:1])
    given = ("dead.safetensors", "--inputs", "one.npy", "--nonlinearity", "tanh")
    shown = printed(*given)
    assert shown["exponents"] == ["-inf"] * 4
    assert shown["stderr"] == ["nan"] * 4
    assert shown["dead_directions"] == 4
    assert shown["network"] == "RNN (tanh), 3 inputs, 4 units"
    assert (shown["sequences"], shown["steps"], shown["status"]) == (1, 30, "ok")
    assert "every disturbance of the state is gone at once" in done(*given).stdout


def test_csv_and_pictures(tmp_path: Path) -> None:
    table, picture = tmp_path / "spectrum.csv", tmp_path / "spectrum.SVG"
    options = ("lstm.safetensors", "--inputs", "x.npy", "--output", str(table), "--plot", str(picture))
    result = done(*options)
    assert f"exponents: {table}" in result.stdout
    assert f"picture: {picture}" in result.stdout
    rows = list(csv.reader(table.open()))
    assert rows[0] == ["index", "exponent", "stderr", "rounding_error", "resolved"]
    shown = printed(*options)  # its standard output is JSON alone
    assert [float(row[1]) for row in rows[1:]] == shown["exponents"]
    assert [float(row[3]) for row in rows[1:]] == shown["rounding_error"]
    assert [row[4] for row in rows[1:]] == ["True"] * 20
    assert "<svg" in picture.read_text()
    done(*options, "--no-check")
    assert [row[3:] for row in csv.reader(table.open())][1:] == [["", ""]] * 20


def test_progress_is_for_terminals(files: Path) -> None:
    options = ("lstm.safetensors", "--inputs", "x.npy")
    assert done(*options).stderr == ""
    seen = done(*options, FORCE_COLOR="1").stderr  # rich takes this for a terminal
    assert "30/30" in seen
    assert "left" in seen


def test_weights_that_are_not_finite(files: Path, networks: dict[str, nn.Module]) -> None:
    broken = {name: value * torch.nan for name, value in networks["lstm"].state_dict().items()}
    save_file(broken, files / "broken.safetensors")
    result = run("broken.safetensors", "--inputs", "x.npy", "--output", "broken.csv")
    assert result.exit_code == 1
    assert result.stdout.strip() == "status: non-finite: weights or states are not finite, so there is no spectrum"
    assert not (files / "broken.csv").exists()
    result = run("broken.safetensors", "--inputs", "x.npy", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["status"] == "non-finite"


GOOD = ("lstm.safetensors", "--inputs", "x.npy")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing.safetensors", "--inputs", "x.npy"), "'missing.safetensors' is not there: expected a network"),
        (("missing.pt2", "--inputs", "x.npy"), "'missing.pt2' is not there: expected a network"),
        (("missing.pt", "--inputs", "x.npy"), "'missing.pt' is not there: expected a network"),
        (("missing.pth", "--inputs", "y.npy"), "'missing.pth' is not there: expected a network"),
        (("model.pt", "--inputs", "x.npy"), "'model.pt' may be a pickle, which is never loaded: expected .safetensors"),
        (("model.h5", "--inputs", "x.npy"), "'model.h5' ends in '.h5': expected .safetensors"),
        (("lstm.safetensors",), "no inputs for 'lstm.safetensors': expected --inputs"),
        (("lstm.safetensors", "--inputs", "y.npy"), "'y.npy' is not there: expected an .npy"),
        (("lstm.safetensors", "--inputs", "lstm.safetensors"), "'lstm.safetensors' is no .npy file"),
        (("lstm.safetensors", "--inputs", "small.npy"), "inputs have shape (4, 30, 1): expected (batch, time, 3)"),
        (("lstm.safetensors", "--inputs", "state.npy"), "inputs have shape (4, 40): expected (batch, time, 3)"),
        (("inside.pt2", "--inputs", "small.npy"), "inputs have shape (4, 30, 1): 'inside.pt2' was exported for"),
        ((*GOOD, "--initial-state", "state.npy"), "initial_state has shape (4, 40): expected (4, 20)"),
        ((*GOOD, "--precision", "exakt"), "precision='exakt': expected one of 'exact', 'fast'"),
        ((*GOOD, "--jacobian", "half"), "jacobian='half': expected one of 'full', 'hidden'"),
        ((*GOOD, "--k", "21"), "k=21: expected a whole number from 1 to 20"),
        ((*GOOD, "--warmup", "30"), "warmup=30: expected a whole number from 0 to 29"),
        ((*GOOD, "--running", "0"), "running=0: expected a whole number from 1 to 30"),
        ((*GOOD, "--device", "abacus"), "--device 'abacus' cannot be used here: expected cpu"),
        ((*GOOD, "--plot", "spectrum.doc"), "'spectrum.doc' ends in '.doc': expected a picture, one of ."),
        ((*GOOD, "--plot", "spectrum"), "'spectrum' ends in '': expected a picture"),
        ((*GOOD, "--plot", "none/spectrum.png"), "'none/spectrum.png' would lie in a directory that does not exist"),
        ((*GOOD, "--output", "."), "'.' is a directory: expected the path of a file to write"),
    ],
)
def test_what_is_refused(arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)
    assert result.stdout == ""


def test_a_disk_that_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("aelle_core.cli.spectrum_report.write_atomically", fails)
    result = run(*GOOD, "--output", "spectrum.csv")
    assert str(result.exception) == (
        "'spectrum.csv' cannot be written (No space left on device): expected a writable path"
    )
    assert "largest exponent" in result.stdout  # the work is not lost


def test_from_the_shell(files: Path) -> None:
    command = [sys.executable, "-m", "flows.command.main", "spectrum", "inside.pt2", "--inputs"]
    path = str(Path(__file__).resolve().parents[3])
    options: dict[str, Any] = {"capture_output": True, "text": True, "check": False, "env": {"PYTHONPATH": path}}
    good = subprocess.run([*command, "x.npy"], **options)
    assert good.returncode == 0, good.stderr
    assert "GRU, 4 inputs, 10 units" in good.stdout
    assert good.stderr == ""
    bad = subprocess.run([*command, "small.npy"], **options)
    assert bad.returncode == 2
    assert bad.stderr.startswith("aelle: inputs have shape (4, 30, 1)")
    assert len(bad.stderr.splitlines()) == 1


def made(exponents: list[float], stderr: float, rounding: list[float], **more: Any) -> LyapunovSpectrum:
    values = np.array(exponents)
    return LyapunovSpectrum(
        exponents=values,
        per_sequence=values[None],
        stderr=np.full(len(values), stderr),
        resolved=np.array(rounding) <= 1e-7,
        rounding_error=np.array(rounding),
        sum_rule_residual=0.0,
        dead_directions=0,
        status="ok",
        steps=1000,
        size=len(values),
        **more,
    )


@pytest.mark.parametrize(
    ("largest", "stderr", "expected"),
    [
        (0.25, 0.01, "above 0, chaotic: nearby states separate, by a factor e every 4 steps"),
        (0.015, 0.01, "about 0 (within 0.02): disturbances neither grow nor fade noticeably in 1000 steps"),
        (-0.0005, np.nan, "about 0 (within 0.001)"),
        (-0.02, 0.001, "remembers a disturbance for about 50 steps"),
        (-np.inf, np.nan, "every disturbance of the state is gone at once"),
    ],
)
def test_the_largest_exponent_in_words(largest: float, stderr: float, expected: str) -> None:
    assert expected in reading(made([largest, -np.inf], stderr, [0.0, 0.0]))


def test_why_exponents_are_not_resolved() -> None:
    assert unresolved(made([-1.0, -2.0], 0.01, [0.0, 1e-9])) == "0 of 2: rounding has spoilt none"
    sentence = unresolved(made([0.5, -1.0, -9.0, -700.0], 0.01, [1e-2, 0.0, 1.0, np.inf]))
    assert sentence.startswith("3 of 4. Likely 1 by underflow")
    assert "; 1 by chaos: rounding decides which trajectory is followed" in sentence
    assert sentence.endswith("parallel directions, where digits are lost; try --precision extended")
    sentence = unresolved(made([-0.5, -1.0], 0.01, [1e-2, 0.0], precision="fast"))
    assert sentence == (
        "1 of 2. Likely 1 by saturated units or nearly parallel directions, where digits are lost; "
        "try --precision exact"
    )
