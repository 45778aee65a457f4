"""Run notebooks from the beginning and keep what they show.

python -m tools.notebooks docs/notebooks        # each is run in an empty directory, and written with its outputs
"""

import argparse
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def run_notebook(path: Path, directory: Path) -> nbformat.NotebookNode:
    """Return the notebook with the outputs of a fresh run in a directory.

    What differs from run to run and says nothing (times, identities of cells' runs) is left out. Raises nbclient's
    CellExecutionError where a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(directory)}}
    )
    client.execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def main() -> None:
    """Run notebooks, or all of a directory, and write them with their outputs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("notebooks", nargs="+", type=Path, help="notebooks, or directories of notebooks")
    for given in parser.parse_args().notebooks:
        for path in sorted(given.glob("*.ipynb")) if given.is_dir() else [given]:
            with tempfile.TemporaryDirectory() as directory:
                nbformat.write(run_notebook(path, Path(directory)), path)
            print(path)


if __name__ == "__main__":
    main()
