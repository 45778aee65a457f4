"""`python -m fault_injection`: seeded rounds of faults, each checked row by row against an undisturbed study."""

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fault_injection.cluster import ray_nodes
from fault_injection.plan import STUDY, Verdict
from fault_injection.play import play
from fault_injection.prefect_server import OutsideServer
from fault_injection.rows import undisturbed


def main(
    rounds: Annotated[int, typer.Option(min=1, help="How many rounds.")] = 20,
    seed: Annotated[int, typer.Option(help="Decides what happens, and after how many fragments.")] = 0,
    first: Annotated[int, typer.Option(min=1, help="Number of the first round, to play some again.")] = 1,
    limit: Annotated[float, typer.Option(min=30, help="Seconds that a round may take.")] = 300,
) -> None:
    """Disturb small studies, and compare every row.

    Ray workers, nodes, the parts of local clusters, the Prefect server, the flow, the analysis and `aelle serve` are
    killed; workers are stopped for a while; disks are full or read-only; stored files are altered.

    All of it runs on loopback addresses of this machine. Exit code 1 when anything is lost, doubled, other than in an
    undisturbed study, or left behind.
    """
    console = Console()
    with tempfile.TemporaryDirectory(prefix="aelle-chaos-") as name:
        directory = Path(name)
        with console.status("An undisturbed study"):
            expected = undisturbed(STUDY, directory / "undisturbed")
        with console.status("Starting Ray and Prefect"), ray_nodes() as nodes:
            server = OutsideServer(directory / "prefect")
            verdicts = []
            try:
                for number in range(first, first + rounds):
                    verdicts.append(play(number, seed, expected, nodes, server, directory / str(number), limit))
                    _print_round(console, verdicts[-1], expected.num_rows)
            finally:
                server.kill()
    _print_table(console, verdicts, expected.num_rows)
    sys.exit(any(verdict.problems for verdict in verdicts))


def _cells(verdict: Verdict, rows: int) -> tuple[str, ...]:
    words = "; ".join(verdict.problems) if verdict.problems else "same rows, nothing left"
    faults = ", ".join(verdict.faults)
    return str(verdict.number), faults, f"{verdict.seconds:.0f}", f"{verdict.rows} of {rows}", words


def _print_round(console: Console, verdict: Verdict, rows: int) -> None:
    number, faults, seconds, found, words = _cells(verdict, rows)
    console.print(f"round {number}: {faults}; {seconds} s; {found} rows; {words}", highlight=False, markup=False)


def _print_table(console: Console, verdicts: list[Verdict], rows: int) -> None:
    table = Table(
        "round", "what happened, at how many fragments", "seconds", "rows", "verdict", box=None, pad_edge=False
    )
    for verdict in verdicts:
        table.add_row(*map(escape, _cells(verdict, rows)))
    console.print(table)
    failed = sum(bool(verdict.problems) for verdict in verdicts)
    console.print(f"{len(verdicts) - failed} of {len(verdicts)} rounds ended with every row as it should be")


if __name__ == "__main__":
    typer.run(main)
