"""The cards of what ships: of each dataset and of each model, written from the files themselves.

Gebru et al., Datasheets for datasets, 2021; Mitchell et al., Model cards for model reporting, 2019. The front matter
has the fields that model hubs read.
"""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from aelle_core.aelle.estimator import AeLLE
from aelle_core.analysis.kept_tables import read_tables
from aelle_core.analysis.shipped.croissant import COLUMNS, croissant
from aelle_core.evaluation.tables.base import Table
from aelle_core.pretrained import load_spectra, manifest, shipped_file

METRICS = ("AeLLE median", "AeLLE predictor", "AeLLE PC1", "LE max", "forest on spectrum", "cell and hyperparameters")
BASELINE = METRICS[-1]
CARDS = ("dataset.md", "model.md", "croissant.json")

_CITE = (
    "Vogt, Zheng, Shlizerman: Lyapunov-guided representation of recurrent neural network performance. Neural Computing "
    "and Applications, 2024. doi:10.1007/s00521-024-09824-6"
)


def cards_of(name: str) -> dict[str, str]:
    """Return the texts of the cards of what ships under that name, by their file names: "NAME.dataset.md",
    "NAME.model.md" and "NAME.croissant.json". Nothing but the files that ship goes into them."""
    entry, rows = manifest()[name], load_spectra(name)
    with shipped_file(name, "tables") as path:
        _, tables = read_tables(path)
    texts = {
        "dataset.md": _dataset_card(name, entry, rows),
        "model.md": _model_card(name, entry, tables),
        "croissant.json": croissant(name, entry, rows.schema, description=_what(entry), cite=_CITE),
    }
    return {f"{name}.{card}": texts[card] for card in CARDS}


def f1_of(tables: list[Table], row: str) -> str:
    """Return F1 at the end of training with its interval."""
    score = _f1(tables, row)
    return f"{score[0]:.3f} ({score[1]:.3f} to {score[2]:.3f})"


def _f1(tables: list[Table], row: str) -> tuple[float, float, float]:
    table = next(table for table in tables if table.name == "end_of_training")
    score = table.at(row, "f1", "end of training")
    assert score is not None
    return score.mean, score.low, score.high


def _what(entry: Mapping[str, Any]) -> str:
    """Return a sentence that says what a dataset holds."""
    study = entry["studies"][0]
    cells = ", ".join(study["cells"])
    seeds = ", ".join(map(str, sorted({run["seed"] for run in entry["studies"]})))
    data = repr(study["task"]) + (f" of {', '.join(systems)}" if len(systems := _systems(entry)) > 1 else "")
    return (
        f"Lyapunov spectra, losses and hyperparameters of {entry['networks']} recurrent networks ({cells}; "
        f"{', '.join(map(str, study['units']))} units) that were trained on {data} for {study['epochs']} "
        f"epochs, with seed {seeds}: one row for each network and epoch."
    )


def _outcome(entry: Mapping[str, Any]) -> str:
    """Return what a network is judged by, in words."""
    goal = entry["studies"][0].get("goal", "loss").replace("_", " ")
    return f"a final {goal}" + (" in medians of its system" if len(_systems(entry)) > 1 else "")


def _systems(entry: Mapping[str, Any]) -> list[str]:
    """Return the systems that the networks forecast, once each; none for other tasks."""
    return list(
        dict.fromkeys(str(run["task_options"]["system"]) for run in entry["studies"] if "system" in run["task_options"])
    )


def _front_matter(fields: Mapping[str, Any]) -> str:
    """Return YAML between dashes: texts, numbers, lists of texts, and mappings of these."""
    lines = ["---"]
    for key, value in fields.items():
        if isinstance(value, list):
            lines += [f"{key}:", *(f"  - {entry}" for entry in value)]
        else:
            lines.append(f"{key}: {value}")
    return "\n".join([*lines, "---", ""])


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _dataset_card(name: str, entry: Mapping[str, Any], rows: pa.Table) -> str:
    diverged = pc.sum(pc.equal(rows["status"], "diverged")).as_py()
    measured = f"spectrum_{entry['studies'][0]['spectra'][0]}"
    epochs = sorted(pc.unique(rows.filter(pc.is_valid(rows[measured]))["epoch"]).to_pylist())
    share = 100 * entry["good_share"]
    front = _front_matter({
        "license": "mit",
        "pretty_name": f"AeLLE spectra, {name}",
        "tags": ["lyapunov-exponents", "recurrent-neural-networks", "hyperparameters"],
        "size_categories": ["1K<n<10K" if len(rows) < 10_000 else "10K<n<100K"],
        "configs": [f"{{config_name: default, data_files: {entry['spectra']['file']}}}"],
    })  # fmt: skip
    described = _table(
        ("column", "type", "what it says"),
        [(f"`{column.name}`", _type(column.type), COLUMNS[column.name]) for column in rows.schema],
    )
    return f"""{front}
# Dataset `{name}`

{_what(entry)}

```python
from aelle_core import load_spectra

table = load_spectra("{name}")
```

That is a pyarrow.Table, of which `table.to_pandas()`, polars and DuckDB make what they need.

- Rows: {rows.num_rows}, of which {diverged} have the status "diverged" and no spectrum.
- Spectra were taken after the epochs {", ".join(map(str, epochs))}.
- A network counts as good below {_outcome(entry)} of {entry["threshold"]:.4g}: {share:.4g} % are.
- File: `{entry["spectra"]["file"]}` (Parquet, zstd), SHA-256 `{entry["spectra"]["sha256"]}`.

## Columns

{described}
## How it was made

`{entry["command"]}` on {entry["machine"]}, {entry["created"][:10]}. Versions: {_versions(entry)}.
The settings, ranges and seeds of the study are in `manifest.json` under `{name}`.

## Limits

The networks are small, and their hyperparameters were drawn from ranges that this project chose: shares of good
networks say nothing about the cells in general. The exponents are finite-time exponents of one trained network each, so
that two networks of the same settings differ.

## Licence and citation

MIT. The dataset holds measurements of networks and none of the data that trained them. {_CITE}
"""


def _model_card(name: str, entry: Mapping[str, Any], tables: list[Table]) -> str:
    model = AeLLE.from_pretrained(name)
    good = entry["good_share"]
    all_good = 2 * good / (1 + good)
    front = _front_matter({
        "license": "mit",
        "library_name": "aelle",
        "tags": ["lyapunov-exponents", "recurrent-neural-networks", "autoencoder"],
        "datasets": [f"aelle-{name.replace('_', '-')}"],
        "metrics": ["f1"],
    })  # fmt: skip
    results = _table(
        ("who says which networks end well", "F1 (95 % interval)"), [(row, f1_of(tables, row)) for row in METRICS]
    )
    ours, baseline = _f1(tables, METRICS[0])[0], _f1(tables, BASELINE)[0]
    verdict = (
        f"{METRICS[0]} is above the baseline that runs no network ({BASELINE}) by {ours - baseline:.3f}."
        if ours > baseline
        else f"{METRICS[0]} is {baseline - ours:.3f} below the baseline that runs no network ({BASELINE}): on this "
        "study spectra are not needed to tell the networks apart."
    )
    return f"""{front}
# Model `{name}`

An AeLLE, an autoencoder of Lyapunov spectra with a linear predictor of the loss, fitted to the final spectra of the
{entry["networks"]} networks of the dataset `{name}`.

```python
from aelle_core import AeLLE

model = AeLLE.from_pretrained("{name}")
```

It takes {model.takes_}.
An array of another width is refused; `model.takes_.check(...)` compares what an array cannot show.

## How well it tells good networks

F1 at the end of training, mean over ten seeded splits by network, each model fitted to its training share alone; the
interval is Nadeau & Bengio's. Calling every network good gives {all_good:.3f}.

{results}
{verdict} The model that ships has seen all networks of the dataset: nothing measured on that dataset is a test of it.

## What it must not be used for

Other tasks, sizes, cells, sequence lengths or kinds of spectra than those above: its first component has no meaning
there.
Comparisons of cells with each other: the ranges of their hyperparameters were chosen cell by cell.

## How it was made

From `{entry["command"]}` on {entry["machine"]}, {entry["created"][:10]}.
Made by `python -m aelle_core.analysis.shipped {name} RUN`. Versions: {_versions(entry)}.
File: `{entry["model"]["file"]}` (safetensors), SHA-256 `{entry["model"]["sha256"]}`.

## Licence and citation

MIT. {_CITE}
"""


def _type(given: pa.DataType) -> str:
    """Return a column's type in words."""
    if pa.types.is_map(given):
        return f"map of {given.item_type} by {given.key_type}"
    return f"list of {given.value_type}" if pa.types.is_list(given) else str(given)


def _versions(entry: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in entry["versions"].items())
