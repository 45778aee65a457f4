"""Several studies of one shape, with networks of their own, analysed as one: of other seeds, or of other systems."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aelle_core.foundation.errors import UserError
from aelle_core.study.directory import RunDirectory
from aelle_core.study.model import Study

_FREE = ("seed", "networks", "pack_size")
_OF_A_SYSTEM = ("system", "parameters", "interval")
"""Options of the task that say which system is forecast."""
_NAME_LENGTH = 58  # leaves room for what is added to it


def join(runs: Sequence[RunDirectory], together: RunDirectory) -> None:
    """Make `together` the run directory of the studies in `runs`: it names them, and takes their joint analysis and
    report. Does nothing where it names the same ones already.

    Raises UserError where `check_joinable` does, and when the directory holds anything else.
    """
    runs = [part for run in runs for part in members(run) or [run]]
    studies = [run.study() for run in runs]
    check_joinable(studies)
    first = studies[0]
    networks = sum(study.networks for study in studies)
    study = first.replace(planned=False, name=f"{first.name[:_NAME_LENGTH]}-joint", networks=networks)
    paths = [_place(run, together) for run in runs]
    together.check(study)
    if together.settings.exists() and (held := together.read_settings().get("joint", [])) != paths:
        raise UserError(
            f"{str(together)!r} joins {', '.join(held)}: expected {', '.join(paths)}; name another directory"
        )
    data = {study.identity: run.read_settings()["data"] for study, run in zip(studies, runs, strict=True)}
    together.prepare(study, data, joint=paths, loss_name=runs[0].loss_name())


def members(run: RunDirectory) -> list[RunDirectory]:
    """Return the runs that a joint run names; none for a single run."""
    named = run.read_settings().get("joint", [])
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise UserError(f"{str(run.settings)!r} joins {named!r}: expected a list of run directories")
    runs = [RunDirectory(name if "://" in name else os.path.normpath(Path(str(run)) / name)) for name in named]
    for member in runs:
        if member.read_settings().get("joint"):
            raise UserError(f"{str(run.settings)!r} joins {str(member)!r}, which joins others: expected runs alone")
    return runs


def check_joinable(studies: Sequence[Study]) -> None:
    """Raise UserError when studies differ in more than their seeds, their numbers of networks and the systems that they
    forecast, and when two of one system have the same seed: their networks would be the same."""
    several = across_systems(studies)
    first = _compared(studies[0], several)
    for study in studies[1:]:
        differing = [name for name, value in _compared(study, several).items() if value != first[name]]
        if differing:
            raise UserError(
                f"studies {studies[0].identity} and {study.identity} differ in {', '.join(differing)}: expected them "
                "to differ in their seeds, numbers of networks and systems alone"
            )
    seeds = [(system_of(study), study.seed) for study in studies]
    if len(set(seeds)) < len(seeds):
        given = ", ".join(f"{seed} of {system}" if system else str(seed) for system, seed in seeds)
        raise UserError(f"studies of the seeds {given}: expected each seed once, or networks count twice")


def _compared(study: Study, several: bool) -> dict[str, Any]:
    """Return the settings in which joint studies must agree; where they are of several systems, not those of one."""
    settings = {name: value for name, value in study.to_dict().items() if name not in _FREE}
    if several:
        del settings["name"]
        options = settings["task_options"]
        settings["task_options"] = {name: value for name, value in options.items() if name not in _OF_A_SYSTEM}
    return settings


def system_of(study: Study) -> str | None:
    """Return the name of the known system that a study forecasts; None where it forecasts none."""
    system = study.task_options.get("system")
    return None if system is None else str(system)


def across_systems(studies: Sequence[Study]) -> bool:
    """Return whether studies forecast several known systems: then only what is measured beside each system's own can be
    compared."""
    systems = {system_of(study) for study in studies}
    return len(systems) > 1 and None not in systems


def joined_name(name: str, studies: Sequence[Study]) -> str:
    """Return a name, and behind it what studies that are analysed as one differ in, such as ", seeds 0, 1" or ", of
    lorenz63 and rossler, seeds 0, 1"; the name alone for a single one."""
    if len(studies) == 1:
        return name
    if across_systems(studies):
        *others, last = dict.fromkeys(str(system_of(study)) for study in studies)
        name += f", of {', '.join(others)} and {last}"
    return f"{name}, seeds {', '.join(map(str, sorted({study.seed for study in studies})))}"


def _place(run: RunDirectory, together: RunDirectory) -> str:
    """Return a run's place as it is seen from the joint one, so that both may be moved together."""
    if isinstance(run.path, Path) and isinstance(together.path, Path):
        return os.path.relpath(run.path.resolve(), together.path.resolve())
    return str(run.path.resolve() if isinstance(run.path, Path) else run.path)
