"""The page of all systems: spectra beside stored ones, and which of the two obeys what must hold."""

from collections.abc import Sequence

import numpy as np

from benchmarks.systems.measure import Measured

_ABSOLUTE, _RELATIVE = 0.02, 0.02  # of the largest exponent's size, and of the sum's
_ROUNDING = 1e-12  # nats per unit of time: what is smaller is zero but for rounding


def agrees(row: Measured) -> bool:
    """Return whether every stored exponent is within three standard errors, or 5 % of the largest in size."""
    floor = 0.05 * max(map(abs, row.exponents))
    pairs = zip(row.exponents, row.errors, row.stored, strict=True)
    return all(abs(own - kept) <= max(3 * error, floor) for own, error, kept in pairs)


def broken_rules(row: Measured, exponents: Sequence[float]) -> list[str]:
    """Return what `exponents` of that system do not obey: their sum is the mean divergence, and of a flow one is zero.
    What is wrong by less than three standard errors, or 2 % of the largest exponent in size, is not counted."""
    size = max(_ROUNDING, *map(abs, row.exponents))
    broken = []
    error = 3 * float(np.sqrt(np.sum(np.square([*row.errors, row.divergence_error]))))
    if abs(sum(exponents) - row.divergence) > max(error, _RELATIVE * size, _ROUNDING):
        broken.append(f"sum {sum(exponents):.3g}, not {row.divergence:.3g}")
    if row.flow:
        nearest = min(range(len(exponents)), key=lambda index: abs(exponents[index]))
        if abs(exponents[nearest]) > max(3 * row.errors[nearest], _ABSOLUTE * size):
            broken.append(f"none is zero ({exponents[nearest]:.3g})")
    return broken


def page(rows: Sequence[Measured], command: str, asked: int) -> str:
    """Return the page in Markdown."""
    done = [row for row in rows if row.exponents]
    compared = [row for row in done if len(row.stored) == len(row.exponents)]
    same = [row for row in compared if agrees(row)]
    ours = sum(not broken_rules(row, row.exponents) for row in compared)
    theirs = sum(not broken_rules(row, row.stored) for row in compared)
    lines = [
        "# Spectra of many known systems",
        "",
        f"The package `dysts` has {asked} flows and maps without delay and with constant parameters. Here are the "
        f"Lyapunov exponents of {'all' if len(done) == asked else len(done)}, in nats per unit of time, beside those "
        "that its release 0.96 keeps. Each is a mean over 16 trajectories of 32 periods, the first 8 not counted, with "
        "its standard error (seed 0). A * marks systems that ran ten times as long, because they broke a rule below. "
        f"Made by `{command}`; "
        "`get_system(\"dysts:NAME\")` returns a system (`pip install 'aelle[systems]'`).",
        "",
        f"- Kept exponents exist for {len(compared)} of them; {len(same)} agree within three standard errors or 5 % of "
        "the largest in size.",
        f"- Two rules tell who is right: exponents add up to the mean divergence of the equation, and a flow that does "
        f"not stop has an exponent of zero. Ours obey both in {ours} of {len(compared)}, the kept ones in {theirs}.",
        *([] if len(done) == len(rows) else [f"- No spectrum: {len(rows) - len(done)}, named at the end."]),
        "- An equation that jumps, as StickSlipOscillator's, stretches distances at its jumps too, which no Jacobian "
        "shows.",
        "",
        "| system | ours | kept | divergence | ours break | kept break |",
        "|---|---|---|---|---|---|",
    ]
    for row in done:
        pairs = zip(row.exponents, row.errors, strict=True)
        own = ", ".join(f"{_shown(value, 3)} ± {_shown(error, 1)}" for value, error in pairs)
        kept = ", ".join(_shown(value, 3) for value in row.stored) or "-"
        broken = "; ".join(broken_rules(row, row.exponents)) or "-"
        broken_kept = "; ".join(broken_rules(row, row.stored)) or "-" if row in compared else ""
        name = row.name.removeprefix("dysts:") + "*" * (row.times > 1)
        lines.append(f"| {name} | {own} | {kept} | {_shown(row.divergence, 3)} | {broken} | {broken_kept} |")
    lines += ["", *(f"- {row.name.removeprefix('dysts:')}: {row.obstacle}" for row in rows if row.obstacle), ""]
    return "\n".join(lines)


def _shown(value: float, digits: int) -> str:
    return "0" if abs(value) < _ROUNDING else f"{value:.{digits}g}"
