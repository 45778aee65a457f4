"""`python -m benchmarks.systems`: the spectra of all systems of dysts, and the page that compares them.

Goes on where it was stopped: what is measured is kept, a line of JSON for each system.
"""

import dataclasses
import json
import time
from pathlib import Path
from typing import Annotated

import typer

from aelle_core.files.atomic import write_atomically
from aelle_core.foundation.errors import UserError
from aelle_core.systems.dysts import SAMPLES_PER_PERIOD, dysts_names, dysts_system
from benchmarks.systems.measure import LONGER, Measured, measure
from benchmarks.systems.page import broken_rules, page

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def systems(
    output: Annotated[Path, typer.Option(help="The page; what is measured lies beside it.")] = Path(
        "docs/results/systems.md"
    ),
    names: Annotated[list[str] | None, typer.Argument(help="Which systems; all by default.")] = None,
    minutes: Annotated[float, typer.Option(help="No system is begun after so many minutes.")] = 1e9,
) -> None:
    """Measure, and write the page."""
    started, kept = time.monotonic(), output.with_suffix(".jsonl")
    rows = [Measured(**json.loads(line)) for line in kept.read_text().splitlines()] if kept.exists() else []
    done = {row.name.removeprefix("dysts:") for row in rows if not _too_short(row)}
    for name in [candidate for candidate in names or dysts_names() if candidate not in done]:
        if time.monotonic() - started > 60 * minutes:
            break
        rows = [row for row in rows if row.name != f"dysts:{name}"] + [_measured(name)]
        text = "".join(json.dumps(dataclasses.asdict(row)) + "\n" for row in rows)
        write_atomically(kept, lambda temporary, text=text: temporary.write_text(text))
        print(rows[-1].name, rows[-1].obstacle or rows[-1].exponents, flush=True)
    rows.sort(key=lambda row: row.name.lower())
    text = page(rows, "python -m benchmarks.systems", len(dysts_names()))
    write_atomically(output, lambda temporary: temporary.write_text(text))


def _measured(name: str) -> Measured:
    """Measure one system; where its exponents break a rule, again and longer."""
    try:
        row = measure(dysts_system(name)(), SAMPLES_PER_PERIOD)
        return measure(dysts_system(name)(), SAMPLES_PER_PERIOD, times=LONGER) if _too_short(row) else row
    except UserError as error:
        return Measured(f"dysts:{name}", obstacle=str(error))


def _too_short(row: Measured) -> bool:
    return row.times == 1 and bool(row.exponents) and bool(broken_rules(row, row.exponents))


if __name__ == "__main__":
    app()
