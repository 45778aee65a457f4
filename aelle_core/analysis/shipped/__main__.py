"""Makes what ships with the package: `python -m aelle_core.analysis.shipped NAME RUN --command TEXT --machine TEXT`.

RUN is the directory of a finished study, or of a joint one. Its spectra become one Parquet file, an AeLLE is fitted to
all final spectra, the tables are made, and all are entered in the manifest with what they were made by.
`python -m aelle_core.analysis.shipped NAME` makes model and tables of a shipped study again from its spectra. Either
way the cards of its dataset and of its model, and its Croissant metadata, are written beside them. Without arguments
the cards of all that ships are written again, and the data card's table is printed.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
import typer

from aelle_core import pretrained
from aelle_core.aelle.accepted_spectra import TakenSpectra
from aelle_core.aelle.estimator import AeLLE
from aelle_core.analysis.kept_tables import read_tables, tables_of, tables_recipe, write_tables
from aelle_core.analysis.prepare import prepare_joint_analysis
from aelle_core.analysis.shipped.cards import METRICS, cards_of, f1_of
from aelle_core.analysis.shipped.studies import shipped_studies
from aelle_core.analysis.trained import Trained, trained_studies
from aelle_core.files.atomic import write_atomically
from aelle_core.foundation.errors import UserError
from aelle_core.pretrained import MANIFEST, manifest, shipped_file
from aelle_core.store.fragments import WRITING
from aelle_core.study import RunDirectory, Study, get_preset
from aelle_core.tasks import get_task
from aelle_core.tasks.forecast import Forecast

HOME = Path(pretrained.__file__).parent
SEED = 0
SETTINGS: dict[str, Any] = {"splits": 10, "seed": SEED, "regress": "rank"}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def ship(
    name: Annotated[str | None, typer.Argument(help="The name to load it by.")] = None,
    run: Annotated[Path | None, typer.Argument(help="A finished study's directory.")] = None,
    command: Annotated[str, typer.Option(help="The command that made the run.")] = "",
    machine: Annotated[str, typer.Option(help="The kind of machine that it ran on.")] = "",
    called: Annotated[str | None, typer.Option(help="The study's name there, where it ran under another.")] = None,
) -> None:
    """Enter a study, make the tables of one again, or write all cards and print the data card's table."""
    if name is None:
        for shipped in manifest():
            write_cards(shipped)
        print(card())
        return
    if run is not None:
        _register(name, enter(name, RunDirectory(run), command, machine, called))
    _register(name, {**manifest()[name], **made_of(name)})
    write_cards(name)


def write_cards(name: str) -> None:
    """Write the cards of what ships under that name."""
    for file, text in cards_of(name).items():
        write_atomically(HOME / file, partial(Path.write_text, data=text, encoding="utf-8"))


def _register(name: str, entry: Mapping[str, Any]) -> None:
    entries = {**manifest(), name: entry}
    text = json.dumps(dict(sorted(entries.items())), indent=1) + "\n"
    write_atomically(HOME / MANIFEST, lambda temporary: temporary.write_text(text))
    manifest.cache_clear()


def enter(name: str, run: RunDirectory, command: str, machine: str, called: str | None = None) -> dict[str, Any]:
    """Write the spectra of one study, or of several that were joined, and return their entry.

    Raises UserError when one is not finished, or was completed without some of its packs.
    """
    trained, settings = trained_studies(run), run.read_settings()
    if any(part.quarantined for part in trained):
        raise UserError(f"{str(run)!r} was completed without some of its packs: expected all networks")
    rows = pa.concat_tables([_rows(part, called) for part in trained])
    spectra = HOME / f"{name}.parquet"
    write_atomically(spectra, lambda temporary: pq.write_table(rows, temporary, **{**WRITING, "use_dictionary": True}))
    return {
        "spectra": {**_file(spectra), "rows": rows.num_rows},
        "studies": [_anywhere(part.study, called).to_dict() for part in trained],
        "command": command,
        "machine": machine,
        "created": settings["created"],
        "versions": {package: version for package, version in settings["versions"].items() if package != "platform"},
    }


def _counted_steps(study: Study) -> int:
    """Return how many steps each exponent of the spectra that a study judges by is a mean over."""
    task = get_task(study.task, seed=study.seed, options=_without_places(study))
    if study.spectra[0] == "closed_loop":
        assert isinstance(task, Forecast)
        return task.loop_steps
    return task.steps - study.warmup


def made_of(name: str) -> dict[str, Any]:
    """Make what follows from the spectra that ship under that name, so that whoever has them gets the same: the model
    and the tables, written, and the numbers of their entry."""
    trained = shipped_studies(name)
    analysis, study = prepare_joint_analysis(trained, splits=SETTINGS["splits"], seed=SEED), trained[0].study
    final = analysis.examples[study.epochs]
    aelle = AeLLE(random_state=SEED).fit(final.spectra, final.final_loss)
    taken = (study.task, study.cells, study.spectra[0], final.spectra.shape[1], _counted_steps(study))
    aelle.takes_ = TakenSpectra(*taken, unit=analysis.unit)
    model, tables = HOME / f"{name}.safetensors", HOME / f"{name}.tables.json"
    aelle.save(model)
    write_tables(tables, tables_recipe(study, analysis, SETTINGS), tables_of(analysis, SETTINGS))
    return {
        "model": _file(model),
        "tables": _file(tables),
        "networks": len(final),
        "threshold": analysis.threshold,
        "good_share": float((final.final_loss < analysis.threshold).mean()),
    }


def _rows(trained: Trained, called: str | None) -> pa.Table:
    """Return the study's rows under the identity that it has on every machine."""
    rows = trained.store.read(study=trained.study.identity)
    column = rows.schema.get_field_index("study")
    names = pa.array([_anywhere(trained.study, called).identity] * rows.num_rows, rows.schema.field(column).type)
    return rows.set_column(column, rows.schema.field(column), names)


def _anywhere(study: Study, called: str | None) -> Study:
    """Return the study without the place where its data lay on the machine that ran it, under the name that it has
    there, with the threshold that the preset of that name has: training knows none."""
    threshold = study.threshold if called is None else get_preset(called).threshold
    return study.replace(name=called or study.name, task_options=_without_places(study), threshold=threshold)


def _without_places(study: Study) -> dict[str, Any]:
    return {key: value for key, value in study.task_options.items() if key != "directory"}


def _file(path: Path) -> dict[str, str]:
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def card() -> str:
    """Return the data card's table in Markdown, from the manifest."""
    header = ["name", "takes", "networks", "good below", "calling all good", *METRICS, "made by"]
    lines = [header, ["---"] * len(header)]
    for name, entry in manifest().items():
        with shipped_file(name, "tables") as path:
            _, tables = read_tables(path)
        seeds = list(map(str, sorted({settings["seed"] for settings in entry["studies"]})))
        good = entry["good_share"]
        lines.append([
            f"`{name}`", str(AeLLE.from_pretrained(name).takes_), str(entry["networks"]), f"{entry['threshold']:.3f}",
            f"{2 * good / (1 + good):.3f}", *(f1_of(tables, row) for row in METRICS),
            f"`{entry['command']}`, seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}; {entry['machine']}; "
            f"{entry['created'][:10]}",
        ])  # fmt: skip
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    app()
