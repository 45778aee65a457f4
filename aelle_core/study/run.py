"""Training a pack into the run directory, epoch by epoch, and a whole study in one process."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from aelle_core.cells import get_cell
from aelle_core.lyapunov import LyapunovSpectrum, pack_spectra
from aelle_core.store import NetworkRecord, SpectraStore
from aelle_core.study.directory import RunDirectory
from aelle_core.study.model import Study
from aelle_core.study.variants import Pack, cohorts
from aelle_core.tasks import Task, get_task
from aelle_core.training import EpochResult, Trainer, load_checkpoint, recorded_way, save_checkpoint, trainers

OnEpoch = Callable[[Pack, int], object]
"""Called with the pack and an epoch whose fragment has been stored."""


@dataclass(frozen=True)
class PackSummary:
    """What became of a pack: epochs stored now (not before), networks that diverged, seconds taken."""

    pack: str
    stored: int
    diverged: int
    seconds: float


def run_pack(
    study: Study,
    pack: Pack,
    run: RunDirectory,
    *,
    task: Task | None = None,
    device: torch.device | str = "cpu",
    way: str | None = None,
    on_epoch: OnEpoch | None = None,
) -> PackSummary:
    """Train a pack, and after every epoch save its checkpoint, then store its losses and spectra.

    Goes on where an earlier call was stopped, with the same numbers: an epoch whose fragment is stored is not
    computed again. `task` may be handed in so that packs share the data they read. `way` forces a way of training;
    without it a pack goes on in the way it was begun, and a new one takes the fastest on this machine.
    """
    started = time.monotonic()
    store = run.store
    place = (study.identity, pack.cell)
    missing = [epoch for epoch in range(study.epochs + 1) if not store.has(*place, pack.name, epoch)]
    if not missing:
        return PackSummary(pack.name, 0, 0, time.monotonic() - started)
    task = task or get_task(study.task, seed=study.seed, options=study.task_options)
    settings = [variant.settings for variant in pack.variants]
    cell = get_cell(pack.cell, task.input_size, pack.units)
    kind = trainers[task.trainer]
    checkpoint = run.checkpoint(pack.name)
    if way is None and checkpoint.exists():
        way = recorded_way(checkpoint)
    if way is None:
        way = kind.fastest_way(cell, task, study.batch_size, len(settings), torch.device(device))
    trainer = kind(cell, task, settings, batch_size=study.batch_size, device=device, way=way)
    diverged = 0

    def keep(result: EpochResult) -> None:
        nonlocal diverged
        diverged = int((~result.alive).sum())
        if result.epoch in missing:
            _store_epoch(study, pack, task, trainer, store, result)
        if on_epoch is not None:
            on_epoch(pack, result.epoch)

    if checkpoint.exists():
        keep(load_checkpoint(checkpoint, trainer))
    for result in trainer.run(study.epochs):
        save_checkpoint(checkpoint, trainer, result, [variant.network for variant in pack.variants])
        keep(result)
    return PackSummary(pack.name, len(missing), diverged, time.monotonic() - started)


def _store_epoch(
    study: Study, pack: Pack, task: Task, trainer: Trainer, store: SpectraStore, result: EpochResult
) -> None:
    spectra = {}
    if study.has_spectra(result.epoch):
        spectra = spectra_along(study, trainer, task.spectrum_inputs(study.spectrum_sequences))
    test = trainer.test() if result.epoch == study.epochs else None
    records = []
    for index, variant in enumerate(pack.variants):
        of_network = {kind: each[index] for kind, each in spectra.items()}
        usable = bool(result.alive[index]) and all(each.status == "ok" for each in of_network.values())
        first = of_network[study.spectra[0]] if usable and of_network else None
        records.append(
            NetworkRecord(
                study=study.identity,
                task=study.task,
                cell=pack.cell,
                units=pack.units,
                network=variant.network,
                pack=pack.name,
                epoch=result.epoch,
                seed=variant.settings.seed,
                status="ok" if usable else "diverged",
                hyperparameters=dict(variant.hyperparameters),
                train_loss=float(result.train_loss[index]),
                validation_loss=float(result.validation_loss[index]),
                validation_accuracy=_number(result.validation_accuracy[index]),
                test_loss=_number(test[0][index]) if test else None,
                test_accuracy=_number(test[1][index]) if test else None,
                spectrum_hidden=of_network["hidden"].exponents if usable and "hidden" in spectra else None,
                spectrum_full=of_network["full"].exponents if usable and "full" in spectra else None,
                dead_directions=first.dead_directions if first else None,
                sum_rule_residual=_number(first.sum_rule_residual) if first else None,
            )
        )
    store.write(records)


def spectra_along(study: Study, trainer: Trainer, inputs: Tensor) -> dict[str, list[LyapunovSpectrum]]:
    """The study's spectra of the pack as it is now along inputs (sequences, time, features), by kind."""
    network, found = trainer.network(), {}
    for kind in study.spectra:
        size = network.cell.units if kind == "hidden" else network.cell.state_size
        found[kind] = pack_spectra(
            network,
            inputs,
            initial_state=trainer.initial_state,
            jacobian=kind,  # type: ignore[arg-type]
            k=min(study.exponents, size) or None,
            warmup=study.warmup,
            device=trainer.device,
        )
    return found


def _number(value: Tensor | float) -> float | None:
    """None for NaN: what is not there."""
    return None if math.isnan(value) else float(value)


def run_study(
    study: Study,
    run: RunDirectory,
    *,
    device: str = "cpu",
    way: str | None = None,
    on_epoch: OnEpoch | None = None,
) -> None:
    """Run all packs of a study in this process, one after the other: no Prefect, no Ray. See `run_pack`."""
    task = get_task(study.task, seed=study.seed, options=study.task_options)
    task.check(study.batch_size)
    run.prepare(study, task.statement())
    for cohort in cohorts(study):
        for pack in cohort.packs:
            run_pack(study, pack, run, task=task, device=device, way=way, on_epoch=on_epoch)
