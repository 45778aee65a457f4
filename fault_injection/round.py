"""One round: a small study, kills at drawn moments, and what came of it."""

import random
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pyarrow as pa

from aelle_core.study import RunDirectory, Study, cohorts, get_preset
from fault_injection.cluster import Nodes
from fault_injection.command import Command, fragments, until_gone
from fault_injection.faults import FAULTS, LOCAL_FAULTS, Fault, Scene
from fault_injection.prefect_server import OutsideServer
from fault_injection.rows import differences

STUDY: Study = get_preset("digits").replace(cells=["lem", "rnn", "gru"], units=[5], networks=6, epochs=40)
_ARGUMENTS = ["digits", "--cells", "lem,rnn,gru", "--units", "5", "--networks", "6", "--epochs", "40"]
_MOST_FAULTS = 3
_LOCAL_SHARE = 0.4
_POLL_SECONDS = 0.05


@dataclass
class Verdict:
    """What was killed in a round, after how many stored fragments; how long it took; what was wrong at its end."""

    number: int
    kills: list[str] = field(default_factory=list)
    seconds: float = 0.0
    rows: int = 0
    problems: list[str] = field(default_factory=list)


def play(
    number: int, seed: int, expected: pa.Table, nodes: Nodes, server: OutsideServer, place: Path, limit: float
) -> Verdict:
    """Play round `number`: the same seed draws the same kinds of kills after the same numbers of fragments."""
    draw = random.Random(f"{seed}/{number}")
    run = place / "run"
    place.mkdir(parents=True)
    packs = [pack.name for cohort in cohorts(STUDY) for pack in cohort.packs]
    total = len(packs) * (STUDY.epochs + 1)
    local, plan = drawn(draw, total)

    # A server that is killed has this long to be back, on slow machines too.
    environment = server.environment | {"AELLE_OUTAGE_SECONDS": "240"}

    def start() -> Command:
        cluster = [] if local else ["--address", nodes.address]
        arguments = ["sweep", *_ARGUMENTS, "--way", "packed", *cluster, "-o", str(run)]
        return Command(*arguments, environment=environment, log=place / "log")

    verdict = Verdict(number)
    started = time.monotonic()
    scene = Scene(local, nodes, server, start(), start, draw)
    faults: dict[str, Fault] = LOCAL_FAULTS if local else FAULTS
    try:
        for moment, kind in plan:
            while fragments(run) < moment and scene.command.process.poll() is None:
                if time.monotonic() - started > limit:
                    raise TimeoutError(f"no more than {fragments(run)} of {total} fragments after {limit:g} s")
                time.sleep(_POLL_SECONDS)
            stored = fragments(run)
            if killed := faults[kind](scene):
                verdict.kills.append(f"{killed} at {stored}")
        code = scene.command.wait(max(1.0, limit - (time.monotonic() - started)))
        if code:
            verdict.problems.append(f"exit code {code}: {scene.command.output.strip().splitlines()[-1]}")
        verdict.problems += _left_behind(scene)
        verdict.problems += [
            f"{each.pack} is quarantined: {each.cause}" for each in RunDirectory(run).quarantine.packs()
        ]
        table = RunDirectory(run).store.read()
        verdict.rows = table.num_rows
        verdict.problems += differences(table, expected)
    except (OSError, RuntimeError, ValueError, httpx.HTTPError) as error:
        verdict.problems.append(f"{type(error).__name__}: {str(error).strip()[-500:]}")
    finally:
        scene.command.kill()
        nodes.complete()
    if not verdict.kills:
        verdict.problems.append("nothing was killed")
    verdict.seconds = time.monotonic() - started
    return verdict


def drawn(draw: random.Random, total: int) -> tuple[bool, list[tuple[int, str]]]:
    """Draw whether a study starts its own cluster, and what happens to it after how many of `total` fragments."""
    local = draw.random() < _LOCAL_SHARE
    moments = sorted(draw.uniform(0.05, 0.85) * total for _ in range(draw.randint(1, _MOST_FAULTS)))
    return local, [(round(moment), draw.choice(sorted(LOCAL_FAULTS if local else FAULTS))) for moment in moments]


def _left_behind(scene: Scene) -> list[str]:
    problems = [f"process left: {each}" for each in until_gone(scene.command, 30)]
    problems += [f"worker still busy: {each.name()}" for each in scene.nodes.busy()]
    condition = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}}}
    running = httpx.post(f"{scene.server.url}/flow_runs/filter", json=condition, timeout=60).raise_for_status().json()
    return problems + [f"run {each['name']} is still {each['state_type']}" for each in running]
