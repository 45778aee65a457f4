"""Makes what ships with the package: `python -m aelle_core.shipping NAME RUN TABLES --command TEXT --machine TEXT`.

RUN is the directory of a finished study, TABLES the CSV that `aelle paper RUN --output DIR` wrote. The study's spectra
become one Parquet file, an AeLLE is fitted to all its final spectra, and both are entered in the manifest with what
they were made by and what the tables say. Without arguments: prints the card's table.
"""

import csv
import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

import pyarrow.parquet as pq
import typer

from aelle_core.aelle import AeLLE
from aelle_core.analysis import prepare_analysis
from aelle_core.errors import UserError
from aelle_core.files import write_atomically
from aelle_core.fragments import WRITING
from aelle_core.pretrained import MANIFEST, manifest
from aelle_core.study import RunDirectory
from aelle_core.taken import TakenSpectra
from aelle_core.tasks import get_task

HOME = Path(__file__).parent / "pretrained"
METRICS = ("AeLLE predictor", "AeLLE PC1", "LE max", "cell and hyperparameters")
SEED = 0

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def ship(
    name: Annotated[str | None, typer.Argument(help="The name to load it by.")] = None,
    run: Annotated[Path | None, typer.Argument(help="A finished study's directory.")] = None,
    tables: Annotated[Path | None, typer.Argument(help="The CSV of its tables.")] = None,
    command: Annotated[str, typer.Option(help="The command that made the run.")] = "",
    machine: Annotated[str, typer.Option(help="The kind of machine that it ran on.")] = "",
) -> None:
    """Enter a study, or print the card's table."""
    if name is None or run is None or tables is None:
        print(card())
        return
    entry = enter(name, RunDirectory(run), tables, command, machine)
    held = {**manifest(), name: entry}
    text = json.dumps(dict(sorted(held.items())), indent=1) + "\n"
    write_atomically(HOME / MANIFEST, lambda temporary: temporary.write_text(text))


def enter(name: str, run: RunDirectory, tables: Path, command: str, machine: str) -> dict[str, Any]:
    """Write the files of one study and return its entry. Raises UserError when the run is not finished."""
    study, held = run.study(), run.read_settings()
    analysis = prepare_analysis(run.store, study, splits=1, seed=SEED)
    final = analysis.examples[study.epochs]
    aelle = AeLLE(random_state=SEED).fit(final.spectra, final.final_loss)
    steps = get_task(study.task, seed=study.seed, options=_without_places(study.task_options)).steps - study.warmup
    aelle.takes_ = TakenSpectra(study.task, study.cells, study.spectra[0], final.spectra.shape[1], steps)
    rows = run.store.read(study=study.identity)
    model, spectra = HOME / f"{name}.safetensors", HOME / f"{name}.parquet"
    aelle.save(model)
    write_atomically(spectra, lambda temporary: pq.write_table(rows, temporary, **{**WRITING, "use_dictionary": True}))
    return {
        "model": _file(model),
        "spectra": {**_file(spectra), "rows": rows.num_rows},
        "study": study.identity,
        "networks": len(final),
        "seed": study.seed,
        "threshold": analysis.threshold,
        "good_share": float((final.final_loss < analysis.threshold).mean()),
        "command": command,
        "machine": machine,
        "created": held["created"],
        "versions": {each: found for each, found in held["versions"].items() if each != "platform"},
        "f1": _f1(tables),
    }


def _without_places(options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key != "directory"}


def _file(path: Path) -> dict[str, str]:
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _f1(tables: Path) -> dict[str, list[float]]:
    """F1 at the end of training with its interval, by classifier."""
    with tables.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["table"] == "end_of_training" and row["metric"] == "f1"]
    found = {row["row"]: [float(row[each]) for each in ("mean", "low", "high")] for row in rows}
    if missing := [each for each in METRICS if each not in found]:
        raise UserError(f"{str(tables)!r} has no final F1 of {', '.join(missing)}: expected what `aelle paper` writes")
    return {each: found[each] for each in METRICS}


def card() -> str:
    """The data card's table in Markdown, from the manifest."""
    header = ["name", "takes", "networks", "good below", "calling all good", *METRICS, "made by"]
    lines = [header, ["---"] * len(header)]
    for name, entry in manifest().items():
        takes = AeLLE.from_pretrained(name).takes_
        share = entry["good_share"]
        metrics = ["{:.3f} ({:.3f} to {:.3f})".format(*entry["f1"][each]) for each in METRICS]
        lines.append([
            f"`{name}`", str(takes), str(entry["networks"]), f"{entry['threshold']:.3f}",
            f"{2 * share / (1 + share):.3f}", *metrics,
            f"`{entry['command']}`, seed {entry['seed']}, {entry['machine']}, {entry['created'][:10]}",
        ])  # fmt: skip
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    app()
