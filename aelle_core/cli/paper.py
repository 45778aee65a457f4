"""The paper's tables beside those of stored studies, printed and written."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import Any

from rich.console import Console
from rich.table import Column
from rich.table import Table as Grid

from aelle_core.aelle.targets import TARGETS
from aelle_core.analysis.figures import draw_studies
from aelle_core.analysis.kept_tables import study_tables, tables_of_studies
from aelle_core.analysis.prepare import prepare_joint_analysis
from aelle_core.analysis.shipped.studies import shipped_name, shipped_studies, shipped_tables
from aelle_core.analysis.trained import Trained, trained_studies
from aelle_core.evaluation.tables.base import Table
from aelle_core.evaluation.tables.paper_and_us import comparison
from aelle_core.evaluation.tables.paper_numbers import paper_tasks
from aelle_core.files.atomic import write_atomically
from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError
from aelle_core.pretrained import manifest
from aelle_core.report.text_tables import comma_separated, grid, markdown
from aelle_core.study import RunDirectory, join
from aelle_core.study.joint import joined_name

_LABEL = 20
"""Characters of one line of a row's name."""


@dataclass(frozen=True)
class Stored:
    """A study whose tables are shown: what it is called, where it is read from, and what gives the tables."""

    title: str
    file_name: str
    trained: Sequence[Trained]
    tables: Callable[[], list[Table]]

    @property
    def task(self) -> str:
        """What its networks learn."""
        return self.trained[0].study.task


def show_paper(
    given: Sequence[str] | None,
    output: Path | None,
    *,
    figures: Path | None = None,
    together: str | None = None,
    anew: bool = False,
    goal: str | None = None,
    **settings: Any,
) -> None:
    """Print the tables of studies, and write them as Markdown and CSV into the directory `output`; draw their
    figures into the directory `figures`, in one of each study's name.

    `given` are runs, or names of what ships with the package; when there are none, all that ships and all in runs/.
    Runs that are read `together` become a joint one in that directory. Tables that ship are made `anew` on demand,
    and for another `goal` than the studies' own.
    Raises UserError, before anything is computed, when one of them is neither.
    """
    if settings["regress"] not in TARGETS:
        raise UserError(f"--regress {settings['regress']!r}: expected {', '.join(TARGETS)}")
    if together is not None:
        if len(given or ()) < 2:
            raise UserError(f"--together {together!r} with {len(given or ())} runs: expected at least two")
        join(list(map(RunDirectory, given or ())), RunDirectory(together))
        given = [together]
    names = given or [*manifest(), *sorted(str(path.parent) for path in Path("runs").glob("*/study.json"))]
    studies = [_stored(name, settings, anew) for name in names]
    if goal is not None:
        studies = [_judged_by(goal, study, settings) for study in studies]
    for option, directory in (("--output", output), ("--figures", figures)):
        if directory is not None:
            _make(option, directory)
    console = Console(markup=False)
    tables_by_study: list[tuple[Stored, list[Table]]] = []
    for study in studies:
        console.rule(study.title)
        if study.task not in paper_tasks():
            console.print(f"The paper has numbers for {', '.join(paper_tasks())}; none for {study.task}.")
        tables = study.tables()
        for table in tables:
            _print(table, console)
        tables_by_study.append((study, tables))
        _write(output, study.file_name, study.title, tables, console)
        if figures is not None:
            drawn = draw_studies(study.trained, settings, figures / study.file_name)
            console.print(f"drawn: {counted(len(drawn), 'file')} in {figures / study.file_name}", highlight=False)
    if beside := comparison([(study.task, study.file_name, tables) for study, tables in tables_by_study]):
        console.rule("The paper and us")
        for table in beside:
            _print(table, console)
        if len(tables_by_study) > 1:
            _write(output, "paper", "The paper and us", beside, console)


def _make(option: str, directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{option} {str(directory)!r} cannot be made ({error}): expected a directory") from error


def _stored(given: str, settings: dict[str, Any], anew: bool) -> Stored:
    run, name = RunDirectory(given), shipped_name(given)
    if name is None and isinstance(run.path, Path) and not run.settings.exists():
        raise UserError(
            f"no study in {given!r}: expected a directory with a study.json, or the name of one that ships with the "
            f"package: {', '.join(manifest())}"
        )
    if name is None or run.settings.exists():
        study, trained = run.study(), trained_studies(run)

        def tables() -> list[Table]:
            analysis = prepare_joint_analysis(trained, splits=settings["splits"], seed=settings["seed"])
            return study_tables(run, study, analysis, settings)

        called = file_name = study.identity
    else:
        trained = shipped_studies(name)
        called = f"{name} ({trained[0].study.identity})"
        preset = trained[0].study.name
        file_name = preset if shipped_name(preset) == name else name.replace("_", "-")
        tables = partial(shipped_tables, name, settings, anew=anew)
    networks, task = sum(part.study.total_networks for part in trained), trained[0].study.task
    title = joined_name(f"{called}: {counted(networks, 'network')} on {task}", [part.study for part in trained])
    return Stored(title, file_name, trained, tables)


def _judged_by(goal: str, study: Stored, settings: dict[str, Any]) -> Stored:
    """Return a study whose good networks are the better half by that measure."""
    trained = [part.by(goal) for part in study.trained]
    file_name = f"{study.file_name}-{goal.replace('_', '-')}"
    return Stored(f"{study.title}, by {goal}", file_name, trained, partial(tables_of_studies, trained, settings))


def _write(output: Path | None, name: str, title: str, tables: list[Table], console: Console) -> None:
    if output is None:
        return
    for suffix, text in ((".md", markdown(title, tables)), (".csv", comma_separated(tables))):
        path = output / f"{name}{suffix}"
        write_atomically(path, partial(Path.write_text, data=text))
        console.print(f"written: {path}", highlight=False)


def _print(table: Table, console: Console) -> None:
    console.print(f"\n{table.title}", style="bold", highlight=False)
    console.print(table.caption, style="dim", highlight=False)
    for remark in table.remarks:
        console.print(f"- {remark}", highlight=False)
    if table.entries:
        for header, rows in _blocks(table, console.width):
            shown = Grid(*(Column(title, no_wrap=True) for title in header), box=None, pad_edge=False)
            for row in rows:
                shown.add_row(*row)
            console.print(shown)


def _blocks(table: Table, width: int) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Yield the table, intervals below their means, in blocks of columns that fit side by side."""
    header, rows = grid(table)
    labels = 2 if header[1] == "metric" else 1
    rows = [[*map(_label, row[:labels]), *(cell.replace(" (", "\n(") for cell in row[labels:])] for row in rows]
    header = [title.replace(", ", ",\n") for title in header]
    wide = [
        max(len(line) for cell in column for line in cell.split("\n")) + 1 for column in zip(header, *rows, strict=True)
    ]
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


def _label(text: str) -> str:
    """Return a label in lines that leave room for numbers on a narrow terminal."""
    return "\n".join(wrap(text, _LABEL))
