"""A round from its number and seed: its plan is drawn and played, and its verdict returned."""

import random
import time
from pathlib import Path

import pyarrow as pa

from fault_injection import round as command_round
from fault_injection import served_round
from fault_injection.cluster import Nodes
from fault_injection.plan import ServedPlan, Verdict, plan_of
from fault_injection.prefect_server import OutsideServer


def play(
    number: int, seed: int, expected: pa.Table, nodes: Nodes, server: OutsideServer, directory: Path, limit: float
) -> Verdict:
    """Play round `number`: the same seed draws the same kinds of faults after the same numbers of fragments."""
    directory.mkdir(parents=True)
    verdict, plan = Verdict(number), plan_of(number, seed)
    draw = random.Random(f"{seed}/{number}/faults")
    started = time.monotonic()
    if isinstance(plan, ServedPlan):
        served_round.play(verdict, plan, expected, directory, limit)
    else:
        command_round.play(verdict, plan, draw, expected, nodes, server, directory, limit)
    if not verdict.faults:
        verdict.problems.append("nothing happened")
    verdict.seconds = time.monotonic() - started
    return verdict
