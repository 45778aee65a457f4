"""The paper's tables, and ours, of stored studies."""

import dataclasses
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column
from rich.table import Table as Grid

from aelle_core.analysis import load_examples, prepare_analysis
from aelle_core.errors import UserError
from aelle_core.evaluation.material import Material
from aelle_core.evaluation.paper_numbers import paper_tasks
from aelle_core.evaluation.tables.base import Entry, Table, make_tables
from aelle_core.files import write_atomically
from aelle_core.report.tables import comma_separated, grid, markdown
from aelle_core.study import RunDirectory

_FORMAT = "aelle-tables-1"
_NAME = "tables.json"


def tables_of(run: RunDirectory, *, splits: int = 10, seed: int = 0, regress: str = "log") -> list[Table]:
    """Every table of a finished study, from its stored spectra.

    `splits` and `seed` decide the splits by network, `regress` what the autoencoder's predictor regresses: "log" or
    "loss". Raises UserError when the study is not finished or has fewer than 20 networks with a final spectrum.
    """
    study = run.study()
    analysis = prepare_analysis(run.store, study, splits=splits, seed=seed)
    kinds = {
        kind: analysis.examples if kind == study.spectra[0] else load_examples(run.store, study, kind)[0]
        for kind in study.spectra
    }
    return make_tables(Material(study.task, kinds, analysis.threshold, splits, seed, {"target": regress}))


def kept_tables(run: RunDirectory, **settings: Any) -> list[Table]:
    """The tables that the run keeps; made, and kept, where there are none of these settings of `tables_of`."""
    origin = {"format": _FORMAT, "identity": run.study().identity, **settings}
    path = run.analysis / _NAME
    if path.exists():
        held = _read(path)
        if held["origin"] == origin:
            return held["tables"]
    tables = tables_of(run, **settings)
    content = {"origin": origin, "tables": [dataclasses.asdict(table) for table in tables]}
    text = json.dumps(content, indent=1)
    write_atomically(path, lambda temporary: temporary.write_text(text))
    return tables


def _read(path: Path) -> dict[str, Any]:
    try:
        held = json.loads(path.read_text())
        tables = [Table(**{**table, "entries": [Entry(**one) for one in table["entries"]]}) for table in held["tables"]]
        return {"origin": held["origin"], "tables": tables}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{str(path)!r} cannot be read ({error!r}): expected a run's tables; remove it") from error


def show_paper(runs: Sequence[Path] | None, output: Path | None, **settings: Any) -> None:
    """Print the tables of each run (of all in runs/ when none is named), and write them as Markdown and CSV into the
    directory `output`. Raises UserError, before anything is computed, when one of them is not a study's directory."""
    found = list(runs or sorted(path.parent for path in Path("runs").glob("*/study.json")))
    if not found:
        raise UserError("no runs named and none in runs/: expected at least one directory of a finished study")
    directories = [RunDirectory(path) for path in found]
    studies = [run.study() for run in directories]
    if settings.get("regress") not in ("log", "loss"):
        raise UserError(f"--regress {settings.get('regress')!r}: expected log or loss")
    console = Console()
    for run, study in zip(directories, studies, strict=True):
        title = f"{study.identity}: {study.total_networks} networks on {study.task}"
        console.rule(title)
        if study.task not in paper_tasks():
            console.print(f"The paper has numbers for {', '.join(paper_tasks())}; none for {study.task}.")
        tables = kept_tables(run, **settings)
        for table in tables:
            _print(table, console)
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            for suffix, text in ((".md", markdown(title, tables)), (".csv", comma_separated(tables))):
                path = output / f"{study.identity}{suffix}"
                write_atomically(path, partial(Path.write_text, data=text))
                console.print(f"written: {path}", highlight=False)


def _print(table: Table, console: Console) -> None:
    console.print(f"\n[bold]{table.title}[/bold]", highlight=False)
    console.print(table.caption, style="dim", highlight=False)
    if table.entries:
        header, rows = grid(table)
        shown = Grid(Column(header[0], no_wrap=True), *header[1:], box=None, pad_edge=False)
        for row in rows:
            shown.add_row(row[0], *(cell.replace(" (", "\n(") for cell in row[1:]))
        console.print(shown)
    for remark in table.remarks:
        console.print(f"- {remark}", highlight=False)
