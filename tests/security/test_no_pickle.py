"""No pickle is ever loaded: not by what the source says, and not when a malicious file lies in a real one's place."""

import ast
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from aelle_core.aelle.estimator import AeLLE
from aelle_core.analysis.saved import saved_measurements
from aelle_core.foundation.errors import UserError
from aelle_core.study import RunDirectory, Study, run_study

PRODUCT = ("aelle_core", "flows")
PICKLE_MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
# They share work between processes of our own, and read no file.
HARMLESS = {"joblib.Parallel", "joblib.delayed", "joblib.parallel_config"}
# A script that the user names with --plugin is a program to run, as Python runs one; and the equations of dysts are
# definitions in files of an installed package, which an import would run, too. No file of a run leads there.
PROGRAMS = {"aelle_core/foundation/plugins.py": ["exec"], "aelle_core/systems/dysts_equations.py": ["exec"]}


def loads_of_pickles(source: str) -> list[str]:
    """What in a program could load a pickle, by line."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in (imported for imported in names if imported not in HARMLESS):
            if name.split(".")[0] in PICKLE_MODULES or name.split(".")[-1] in PICKLE_MODULES:
                lines.append(f"{node.lineno}: import of {name}")
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if called == "torch.load" and given.get("weights_only") != "True":
                lines.append(f"{node.lineno}: torch.load without weights_only=True")
            if called in {"torch.jit.load", "torch.export.load", "pd.read_pickle", "pandas.read_pickle"}:
                lines.append(f"{node.lineno}: {called}")
            if given.get("allow_pickle", "False") != "False":
                lines.append(f"{node.lineno}: allow_pickle={given['allow_pickle']}")
            if called in {"eval", "exec", "yaml.load", "yaml.unsafe_load"}:
                lines.append(f"{node.lineno}: {called}")
    return lines


def test_the_product_loads_no_pickle(repository: Path) -> None:
    files = [path for room in PRODUCT for path in (repository / room).rglob("*.py")]
    assert len(files) > 100
    by_file = {str(path.relative_to(repository)): loads_of_pickles(path.read_text()) for path in files}
    assert {
        path: [line.partition(": ")[2] for line in several] for path, several in by_file.items() if several
    } == PROGRAMS


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "def f():\n    import joblib.numpy_pickle",
        "from ray import cloudpickle",
        "from joblib import load, parallel_config",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.export.load(path)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=choice)",
        "eval(text)",
    ],
)
def test_the_search_would_find(source: str) -> None:
    assert loads_of_pickles(source)


class Executed:
    """A pickle that makes the file `evidence` when it is loaded, in the forms that files come in."""

    def __init__(self, evidence: Path) -> None:
        self.evidence = evidence

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.evidence),)


def plain(trap: Executed, path: Path) -> None:
    path.write_bytes(pickle.dumps(trap))


def torch_archive(trap: Executed, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(trap))
        archive.writestr("archive/version", "3\n")


FORMS = {"pickle": plain, "torch archive": torch_archive}


def test_the_trap_snaps(tmp_path: Path) -> None:
    evidence = tmp_path / "evidence"
    pickle.loads(pickle.dumps(Executed(evidence)))
    assert evidence.exists()
    evidence.rmdir()
    torch_archive(Executed(evidence), tmp_path / "weights.pt")
    torch.load(tmp_path / "weights.pt", weights_only=False)
    assert evidence.exists()


SMALL = Study(name="trap", cells=("rnn",), units=(3,), networks=2, pack_size=2, epochs=1)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A study of one pack, trained."""
    run = RunDirectory(tmp_path / "run")
    run_study(SMALL, run, way="packed")
    return run


@pytest.mark.parametrize("form", FORMS)
def test_a_malicious_file_is_refused_and_not_executed(run: RunDirectory, tmp_path: Path, form: str) -> None:
    evidence = tmp_path / "evidence"
    disguise = FORMS[form]
    root = tmp_path / "run"
    trap = Executed(evidence)

    (fragment,) = root.glob("spectra/study=*/cell=rnn/epoch=1/*.parquet")
    (checkpoint,) = root.glob("checkpoints/*.safetensors")
    kept = fragment.read_bytes()

    # A fragment: reading the dataset is refused.
    disguise(trap, fragment)
    with pytest.raises(UserError, match=r"\.parquet"):
        run.store.read()
    fragment.unlink()

    # A checkpoint: it is set aside, and the pack begins again.
    disguise(trap, checkpoint)
    run_study(SMALL, run, way="packed")
    assert checkpoint.with_name(f"{checkpoint.name}.broken").exists()
    assert run.store.read().num_rows == 4
    fragment.write_bytes(kept)

    # The settings, the measurements and the model.
    (root / "analysis").mkdir()
    disguise(trap, root / "analysis" / "measurements.parquet")
    with pytest.raises(UserError, match="measurements"):
        saved_measurements(run)
    disguise(trap, root / "analysis" / "aelle.safetensors")
    with pytest.raises(UserError, match=r"aelle\.safetensors"):
        AeLLE.load(root / "analysis" / "aelle.safetensors")
    disguise(trap, root / "study.json")
    with pytest.raises(UserError, match=r"study\.json"):
        run.read_settings()

    assert not evidence.exists()
