"""The paper's tables beside those of stored studies, printed and written."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column
from rich.table import Table as Grid

from aelle_core.analysis import prepare_joint_analysis, study_tables
from aelle_core.errors import UserError
from aelle_core.evaluation.paper_numbers import paper_tasks
from aelle_core.evaluation.tables.base import Table
from aelle_core.files import write_atomically
from aelle_core.report.tables import comma_separated, grid, markdown
from aelle_core.study import RunDirectory
from aelle_core.trained import trained_studies


def show_paper(runs: Sequence[Path | str] | None, output: Path | None, **settings: Any) -> None:
    """Print the tables of each run (of all in runs/ when none is named), and write them as Markdown and CSV into the
    directory `output`. Raises UserError, before anything is computed, when one of them is not a study's directory."""
    if settings["regress"] not in ("log", "loss"):
        raise UserError(f"--regress {settings['regress']!r}: expected log or loss")
    found: list[Path | str] = list(runs or sorted(path.parent for path in Path("runs").glob("*/study.json")))
    if not found:
        raise UserError("no runs named and none in runs/: expected at least one directory of a finished study")
    directories = [RunDirectory(path) for path in found]
    studies = [run.study() for run in directories]
    if output is not None:
        try:
            output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"--output {str(output)!r} cannot be made ({error}): expected a directory") from error
    console = Console()
    for run, study in zip(directories, studies, strict=True):
        title = f"{study.identity}: {study.total_networks} networks on {study.task}"
        console.rule(title)
        if study.task not in paper_tasks():
            console.print(f"The paper has numbers for {', '.join(paper_tasks())}; none for {study.task}.")
        analysis = prepare_joint_analysis(trained_studies(run), splits=settings["splits"], seed=settings["seed"])
        tables = study_tables(run, study, analysis, settings)
        for table in tables:
            _print(table, console)
        if output is not None:
            for suffix, text in ((".md", markdown(title, tables)), (".csv", comma_separated(tables))):
                path = output / f"{study.identity}{suffix}"
                write_atomically(path, partial(Path.write_text, data=text))
                console.print(f"written: {path}", highlight=False)


def _print(table: Table, console: Console) -> None:
    console.print(f"\n[bold]{table.title}[/bold]", highlight=False)
    console.print(table.caption, style="dim", highlight=False)
    if table.entries:
        for header, rows in _blocks(table, console.width):
            shown = Grid(*(Column(each, no_wrap=True) for each in header), box=None, pad_edge=False)
            for row in rows:
                shown.add_row(*row)
            console.print(shown)
    for remark in table.remarks:
        console.print(f"- {remark}", highlight=False)


def _blocks(table: Table, width: int) -> Iterator[tuple[list[str], list[list[str]]]]:
    """The table, intervals below their means, in blocks of columns that fit side by side."""
    header, rows = grid(table)
    rows = [[cell.replace(" (", "\n(") for cell in row] for row in rows]
    header = [each.replace(", ", ",\n") for each in header]
    wide = [
        max(len(line) for cell in column for line in cell.split("\n")) + 1 for column in zip(header, *rows, strict=True)
    ]
    labels = 2 if header[1] == "metric" else 1
    start = labels
    while start < len(header):
        stop = start + 1
        while stop < len(header) and sum(wide[:labels]) + sum(wide[start : stop + 1]) <= width:
            stop += 1
        yield (
            [*header[:labels], *header[start:stop]],
            [[*row[:labels], *row[start:stop]] for row in rows],
        )
        start = stop
