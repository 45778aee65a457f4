"""The notebooks run from their first cell to their last, and what they show is stored small."""

from pathlib import Path

import nbformat
import pytest

from tools.notebooks import run_notebook

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs/notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_runs(path: Path, tmp_path: Path) -> None:
    notebook = run_notebook(path, tmp_path)
    kept = nbformat.read(path, as_version=4)
    assert [len(cell.get("outputs", [])) for cell in notebook.cells] == [
        len(cell.get("outputs", [])) for cell in kept.cells
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_kept_small(path: Path) -> None:
    kept = nbformat.read(path, as_version=4)
    assert any(cell.get("outputs") for cell in kept.cells), "expected `python -m tools.notebooks docs/notebooks`"
    assert path.stat().st_size < 300_000
