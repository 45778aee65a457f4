"""`python -m fault_injection`: seeded rounds of kills, each checked row by row against an undisturbed study."""

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fault_injection.cluster import ray_nodes
from fault_injection.prefect_server import OutsideServer
from fault_injection.round import STUDY, Verdict, play
from fault_injection.rows import undisturbed


def main(
    rounds: Annotated[int, typer.Option(min=1, help="How many rounds.")] = 20,
    seed: Annotated[int, typer.Option(help="Decides what is killed, and after how many fragments.")] = 0,
    first: Annotated[int, typer.Option(min=1, help="Number of the first round, to play some again.")] = 1,
    limit: Annotated[float, typer.Option(min=30, help="Seconds that a round may take.")] = 300,
) -> None:
    """Kill Ray workers, nodes, the parts of local clusters, the Prefect server and the flow of small studies, stop
    workers for a while, and compare every row.

    All of it runs on loopback addresses of this machine. Exit code 1 when anything is lost, doubled, other than in an
    undisturbed study, or left behind.
    """
    console = Console()
    with tempfile.TemporaryDirectory(prefix="aelle-chaos-") as name:
        place = Path(name)
        with console.status("An undisturbed study"):
            expected = undisturbed(STUDY, place / "undisturbed")
        with console.status("Starting Ray and Prefect"), ray_nodes() as nodes:
            server = OutsideServer(place / "prefect")
            verdicts = []
            try:
                for number in range(first, first + rounds):
                    verdicts.append(play(number, seed, expected, nodes, server, place / str(number), limit))
                    _print_round(console, verdicts[-1], expected.num_rows)
            finally:
                server.kill()
    _print_table(console, verdicts, expected.num_rows)
    sys.exit(any(verdict.problems for verdict in verdicts))


def _cells(verdict: Verdict, rows: int) -> tuple[str, ...]:
    words = "; ".join(verdict.problems) if verdict.problems else "same rows, nothing left"
    kills = ", ".join(verdict.kills)
    return str(verdict.number), kills, f"{verdict.seconds:.0f}", f"{verdict.rows} of {rows}", words


def _print_round(console: Console, verdict: Verdict, rows: int) -> None:
    number, kills, seconds, found, words = _cells(verdict, rows)
    console.print(f"round {number}: {kills}; {seconds} s; {found} rows; {words}", highlight=False, markup=False)


def _print_table(console: Console, verdicts: list[Verdict], rows: int) -> None:
    table = Table("round", "killed, at how many fragments", "seconds", "rows", "verdict", box=None, pad_edge=False)
    for verdict in verdicts:
        table.add_row(*map(escape, _cells(verdict, rows)))
    console.print(table)
    failed = sum(bool(verdict.problems) for verdict in verdicts)
    console.print(f"{len(verdicts) - failed} of {len(verdicts)} rounds ended with every row as it should be")


if __name__ == "__main__":
    typer.run(main)
