"""Small systems and single trajectories against compiled peers, in one run.

    python -m benchmarks.spectrum.small              # a minute or two on one core
    python -m benchmarks.spectrum.small --long       # also 1,000,000 steps of one trajectory, with the memory they take

CPU time of this process, the least of several runs, so that work beside it counts little; compilation is not in it, but
tracing a step function is, a fifth of a second once a run. *In Python* is this project's engine with the step function
called step by step, as it was before steps were compiled.
"""

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import torch
from rich.console import Console
from torch import Tensor, nn

from aelle_core import ClosedLoop, lyapunov_spectrum
from aelle_core.cells import Network, from_torch
from aelle_core.foundation.extras import require
from aelle_core.lyapunov import pack_spectra
from aelle_core.lyapunov.compiled import attempt
from benchmarks.peers import jax_scan, prefix_scan
from benchmarks.peers import small_systems as peers
from benchmarks.shared import page
from benchmarks.shared.tables import DASH, Table, number
from tests.helpers.spectra import stacked

SEED, TIME_STEP = 0, 0.01
STEPS, SLOW_STEPS = 200_000, 400  # of compiled ways, and of ways through Python
TIMES = 5
LONG = 1_000_000
MANY = 100_000  # steps of a trajectory whose Jacobians are given
NETWORKS = 96  # of a pack
Run = Callable[[], object]


def lorenz(s: Tensor) -> Tensor:
    x, y, z = s.unbind(-1)
    return torch.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], -1)


def lorenz96(s: Tensor) -> Tensor:
    return (torch.roll(s, -1, -1) - torch.roll(s, 2, -1)) * torch.roll(s, 1, -1) - s + 8


def henon(_: Any, s: Tensor) -> Tensor:
    return torch.stack([1 - 1.4 * s[:, 0] ** 2 + s[:, 1], 0.3 * s[:, 0]], 1)


def runge_kutta(flow: Callable[[Tensor], Tensor]) -> Callable[[Any, Tensor], Tensor]:
    def step(_: Any, s: Tensor) -> Tensor:
        a = flow(s)
        b = flow(s + TIME_STEP / 2 * a)
        c = flow(s + TIME_STEP / 2 * b)
        return s + TIME_STEP / 6 * (a + 2 * b + 2 * c + flow(s + TIME_STEP * c))

    return step


def seconds(run: Run, times: int = TIMES) -> float:
    """Return the least CPU time of several runs after one that warms up."""
    run()
    taken = []
    for _ in range(times):
        start = time.process_time()
        run()
        taken.append(time.process_time() - start)
    return min(taken)


def in_python(run: Run) -> Run:
    def slow() -> None:
        with patch.object(attempt, "_FEWEST_STEPS", 10**12):
            run()

    return slow


def of_step(step: Any, start: Tensor, steps: int, check: bool) -> Run:
    return lambda: lyapunov_spectrum(step, steps=steps, warmup=0, initial_state=start, check=check)


def of_loop(loop: ClosedLoop, inputs: Tensor, steps: int, check: bool) -> Run:
    return lambda: lyapunov_spectrum(loop, inputs, steps=steps, check=check)


def of_jacobians(jacobians: Tensor, check: bool) -> Run:
    return lambda: lyapunov_spectrum(jacobians, check=check)


def jacobians_along(step: Any, start: Tensor, steps: int) -> Any:
    """Return (steps, size, size) of the step along its trajectory, for ways that take them as given."""
    state, states = start, []
    for _ in range(steps):
        states.append(state[0])
        state = step(None, state)
    return torch.func.vmap(torch.func.jacrev(lambda s: step(None, s[None])[0]))(torch.stack(states)).numpy()


def rows() -> list[tuple[str, dict[str, float]]]:
    """Return microseconds a step of every way, system by system."""
    source = torch.Generator().manual_seed(SEED)
    made: list[tuple[str, Callable[[int, bool], Run], dict[str, tuple[Run, int]]]] = []
    for name, step, start in (
        ("Lorenz-63, RK4, 3 dimensions", runge_kutta(lorenz), torch.tensor([[1.0, 1.0, 20.0]]).double()),
        ("Hénon map, 2", henon, torch.tensor([[0.1, 0.1]]).double()),
        ("Lorenz-96, RK4, 40", runge_kutta(lorenz96), 8 + torch.rand(1, 40, generator=source, dtype=torch.float64)),
    ):
        given = jacobians_along(step, start, 200)
        others: dict[str, tuple[Run, int]] = {
            "numba, given Jacobians": (lambda given=given: peers.gram_schmidt(given), 200)  # type: ignore[misc]
        }
        if name.startswith("Lorenz-63"):
            others["pynamicalsys"] = (peers.pynamicalsys_lorenz(STEPS, TIME_STEP), STEPS)
            others["lyapynov"] = (peers.lyapynov_lorenz(5000, TIME_STEP), 5000)
        elif name.startswith("Hénon"):
            others["pynamicalsys"] = (peers.pynamicalsys_henon(STEPS), STEPS)
        short = {"Lorenz-63": "lorenz", "Hénon map": "henon", "Lorenz-96": "lorenz96"}[name.split(",")[0]]
        steps = STEPS if short != "lorenz96" else STEPS // 20
        others["JAX's scan"] = (jax_scan.run_of(short, start[0].numpy(), steps), steps)
        made.append((name, lambda steps, check, step=step, start=start: of_step(step, start, steps, check), others))  # type: ignore[misc]
    torch.manual_seed(SEED)
    readout = nn.Sequential(nn.Linear(24, 3), nn.Tanh())
    loop, inputs = ClosedLoop(nn.GRU(3, 24, batch_first=True), readout), torch.randn(1, 5, 3)
    made.append(("GRU of 24 units, closed loop", lambda steps, check: of_loop(loop, inputs, steps, check), {}))
    measured = []
    for name, ours, others in made:
        steps = STEPS // 20 if "40" in name or "GRU" in name else STEPS
        taken = {way: seconds(ours(steps, way == "checked")) / steps for way in ("ours", "checked")}
        taken["in Python"] = seconds(in_python(ours(SLOW_STEPS, False)), 2) / SLOW_STEPS
        taken |= {way: seconds(run) / count for way, (run, count) in others.items()}
        measured.append((name, {way: whole * 1e6 for way, whole in taken.items()}))
    for size in (3, 8, 16, 32):
        jacobians = torch.eye(size) + 0.1 * torch.randn(1, 4000, size, size, generator=source)
        jacobians = jacobians.double()
        taken = {
            "ours": seconds(of_jacobians(jacobians, False)),
            "checked": seconds(of_jacobians(jacobians, True)),
            "numba, given Jacobians": seconds(lambda given=jacobians[0].numpy(): peers.gram_schmidt(given)),  # type: ignore[misc]
        }
        measured.append((f"given Jacobians, {size}", {way: whole / 4000 * 1e6 for way, whole in taken.items()}))
    given = torch.from_numpy(jacobians_along(runge_kutta(lorenz), torch.tensor([[1.0, 1.0, 20.0]]).double(), MANY))
    runs = {
        "ours": of_jacobians(given[None], False),
        "checked": of_jacobians(given[None], True),
        "numba, given Jacobians": lambda: peers.gram_schmidt(given.numpy()),
        "prefix scan": lambda: prefix_scan.spectrum(given),
    }
    taken = {way: seconds(run, 2) / MANY * 1e6 for way, run in runs.items()}
    return [*measured, (f"{MANY:,} Jacobians of Lorenz-63", taken)]


WAYS = (
    "ours",
    "checked",
    "in Python",
    "pynamicalsys",
    "JAX's scan",
    "numba, given Jacobians",
    "prefix scan",
    "lyapynov",
)


def table(measured: list[tuple[str, dict[str, float]]]) -> Table:
    made = Table(
        "Small systems, one trajectory",
        "Microseconds of CPU a step, the least of several runs; in brackets how many times ours without the check.",
        ("system", *WAYS),
    )
    for name, taken in measured:
        cells = [
            f"{number(taken[way])} ({number(taken[way] / taken['ours'])}x)" if way in taken else DASH for way in WAYS
        ]
        made.rows.append((name, *cells))
    return made


def long_run() -> str:
    """Return what 1,000,000 steps of Lorenz-63 take, beside a tenth of them."""
    texts = []
    for steps in (LONG // 10, LONG):
        start = time.process_time()
        spectrum = lyapunov_spectrum(
            runge_kutta(lorenz),
            steps=steps,
            warmup=1000,
            initial_state=torch.tensor([[1.0, 1.0, 20.0]]).double(),
            check=False,
        )
        taken = time.process_time() - start
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        values = ", ".join(f"{exponent / TIME_STEP:.4f}" for exponent in spectrum.exponents)
        texts.append(f"{steps:,} steps: {taken:.2f} s of CPU, {memory:.0f} MB at most; {values} per time unit")
    return "\n".join(texts)


def pack_of_loops() -> str:
    """Return what a pack of free-running GRUs takes, beside one of them after the other as step functions in Python."""
    torch.manual_seed(SEED)
    layers = [nn.GRU(3, 24, batch_first=True) for _ in range(NETWORKS)]
    readout = torch.randn(NETWORKS, 3, 24) / 24**0.5, torch.zeros(NETWORKS, 3)
    inputs = torch.randn(8, 20, 3)
    single = [from_torch(layer)[0] for layer in layers]
    pack = ClosedLoop(
        Network(single[0].cell, stacked([network.parameters for network in single])), readout, residual=True
    )
    alone = ClosedLoop(layers[0], lambda h: h @ readout[0][0].T.double(), residual=True)
    options: dict[str, Any] = {"warmup": 100, "k": 8, "check": False}
    together = seconds(lambda: pack_spectra(pack, inputs, steps=700, **options), 2)
    slow = seconds(in_python(lambda: lyapunov_spectrum(alone, inputs, steps=110, **options)), 1) / 110 * 700 * NETWORKS
    return (
        f"A pack of {NETWORKS} GRUs of 24 units that run freely, 8 sequences, 700 steps, 8 exponents: {together:.2f} s "
        f"of CPU; one after the other through Python, from 110 steps of one: {slow:.0f} s ({slow / together:.0f}x)"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--long", action="store_true", help="also a million steps of one trajectory")
    given = options.parse_args()
    require("benchmarks", "a comparison with peers")
    torch.set_num_threads(1)
    print(page.describe_machine("numba", "llvmlite", "pynamicalsys", "lyapynov", "jax"), flush=True)
    if given.long:
        print(long_run(), flush=True)
    print(pack_of_loops(), flush=True)
    Console(width=200).print(table(rows()).markdown(), soft_wrap=True)


if __name__ == "__main__":
    main()
