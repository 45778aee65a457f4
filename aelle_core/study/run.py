"""Training a pack into the run directory, epoch by epoch, and a whole study in one process."""

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aelle_core.cells import get_cell
from aelle_core.lyapunov import LyapunovSpectrum, pack_spectra
from aelle_core.store.dataset import NetworkRecord, SpectraStore
from aelle_core.study.directory import RunDirectory
from aelle_core.study.free_runs import CLOSED_LOOP_EXPONENTS, closed_loop_spectra, measured_free_runs
from aelle_core.study.model import Study
from aelle_core.study.resuming import Resumption
from aelle_core.study.variants import Pack, cohorts
from aelle_core.tasks import Task, get_task
from aelle_core.training import EpochResult, Trainer, save_checkpoint, trainers

OnEpoch = Callable[[Pack, int], object]
"""Called with the pack and an epoch whose fragment has been stored."""


@dataclass(frozen=True)
class PackSummary:
    """What became of a pack: epochs stored now (not before), networks that diverged, seconds taken in all, by training
    with its evaluations, and by spectra; what was found wrong on the way, in sentences."""

    pack: str
    stored: int
    diverged: int
    seconds: float
    training_seconds: float = 0.0
    spectra_seconds: float = 0.0
    notes: tuple[str, ...] = ()


class _Clock:
    """Seconds spent on each of several things."""

    def __init__(self) -> None:
        self.seconds = {"training": 0.0, "spectra": 0.0}

    @contextmanager
    def running(self, what: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[what] += time.monotonic() - started


def run_pack(
    study: Study,
    pack: Pack,
    run: RunDirectory,
    *,
    task: Task | None = None,
    device: torch.device | str = "cpu",
    way: str | None = None,
    at_once: int | None = None,
    on_epoch: OnEpoch | None = None,
    checkpoints: bool = True,
    stored: Collection[int] | None = None,
) -> PackSummary:
    """Train a pack, and after every epoch save its checkpoint, then store its losses and spectra.

    Goes on where an earlier call was stopped, with the same numbers: an epoch whose fragment is stored is not
    stored again. Where an epoch before the checkpoint is not stored, and where the checkpoint is not whole (it is set
    aside then), the pack is trained again from the start; so it is without `checkpoints`, which need safetensors.
    `task` may be handed in so that packs share the data they read, and the epochs that are `stored`, as
    SpectraStore.stored lists them for all packs at once, so that not every pack asks for each. `way` forces a way of
    training, with `at_once` networks together (None: all that fit into memory); without it a pack goes on in the way
    it was begun, and a new one takes the fastest on this machine. Raises StoreError when the run directory has been
    removed under way.
    """
    started = time.monotonic()
    store = run.store
    group = (study.identity, pack.cell)
    if stored is None:
        stored = [epoch for epoch in range(study.epochs + 1) if store.has(*group, pack.name, epoch)]
    missing = [epoch for epoch in range(study.epochs + 1) if epoch not in stored]
    if not missing:
        return PackSummary(pack.name, 0, 0, time.monotonic() - started)
    if task is None:
        task = get_task(study.task, seed=study.seed, options=study.task_options).found_with(run.path)
    checkpoint = run.checkpoint(pack.name)
    begun = Resumption.of(checkpoint, missing, study.epochs) if checkpoints else Resumption(None, None, None, [])
    trainer = _trainer(study, pack, task, torch.device(device), way, at_once, begun)
    names = [variant.network for variant in pack.variants]
    diverged = 0
    clock = _Clock()

    def keep(result: EpochResult) -> None:
        nonlocal diverged
        diverged = int((~result.alive).sum())
        if result.epoch in missing:
            with clock.running("spectra"):
                spectra, measured = {}, {}
                if study.has_spectra(result.epoch):
                    spectra = spectra_along(study, trainer, task.spectrum_inputs(study.spectrum_sequences))
                    measured = measured_free_runs(trainer, spectra.get("closed_loop"))
            with clock.running("training"):
                test = trainer.test() if result.epoch == study.epochs else None
            _store_epoch(study, pack, store, result, spectra, test, measured)
        if on_epoch is not None:
            on_epoch(pack, result.epoch)

    if (kept := begun.restore(trainer, names)) is not None:
        keep(kept)
    results = trainer.run(study.epochs)
    while True:
        with clock.running("training"):
            result = next(results, None)
        if result is None:
            break
        if checkpoints:
            run.check_is_there()
            save_checkpoint(checkpoint, trainer, result, names)
        keep(result)
    seconds = time.monotonic() - started
    training, spectra = clock.seconds["training"], clock.seconds["spectra"]
    return PackSummary(pack.name, len(missing), diverged, seconds, training, spectra, tuple(begun.notes))


def _trainer(
    study: Study,
    pack: Pack,
    task: Task,
    device: torch.device,
    way: str | None,
    at_once: int | None,
    begun: Resumption,
) -> Trainer:
    """Return the pack before its first epoch, to be trained in `way`, or in the one in which it was begun (with as many
    networks at once), or in the fastest on this machine."""
    cell = get_cell(pack.cell, task.input_size, pack.units)
    settings = [variant.settings for variant in pack.variants]
    kind = trainers[task.trainer]
    # Begun on another kind of device, in a way that is not here, the last bits differ anyway.
    if begun.way is not None and (way == begun.way or (way is None and begun.way in kind.ways(cell, task, device))):
        way, at_once = begun.way, begun.networks_at_once
    if way is None:
        way, at_once = kind.fastest_way(cell, task, study.batch_size, len(settings), device)
    return kind(cell, task, settings, batch_size=study.batch_size, device=device, way=way, at_once=at_once)


def _store_epoch(
    study: Study,
    pack: Pack,
    store: SpectraStore,
    result: EpochResult,
    spectra: dict[str, list[LyapunovSpectrum]],
    test: tuple[Tensor, Tensor] | None,
    measured: Mapping[str, np.ndarray],
) -> None:
    records = []
    for index, variant in enumerate(pack.variants):
        of_network = {kind: of_pack[index] for kind, of_pack in spectra.items()}
        usable = bool(result.alive[index]) and all(spectrum.status == "ok" for spectrum in of_network.values())
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
                spectrum_closed_loop=(
                    of_network["closed_loop"].exponents if usable and "closed_loop" in spectra else None
                ),
                measures={
                    name: float(values[index]) for name, values in measured.items() if np.isfinite(values[index])
                },
                spectrum_full=of_network["full"].exponents if usable and "full" in spectra else None,
                dead_directions=first.dead_directions if first else None,
                sum_rule_residual=_number(first.sum_rule_residual) if first else None,
            )
        )
    store.write(records)


def spectra_along(study: Study, trainer: Trainer, inputs: Tensor) -> dict[str, list[LyapunovSpectrum]]:
    """Return the study's spectra of the pack's present networks along inputs (sequences, time, features), by kind."""
    network, spectra = trainer.network(), {}
    for kind in study.spectra:
        if kind == "closed_loop":
            spectra[kind] = closed_loop_spectra(trainer, study.exponents or CLOSED_LOOP_EXPONENTS)
            continue
        size = network.cell.units if kind == "hidden" else network.cell.state_size
        spectra[kind] = pack_spectra(
            network,
            inputs,
            initial_state=trainer.initial_state,
            jacobian=kind,  # type: ignore[arg-type]
            k=min(study.exponents, size) or None,
            warmup=study.warmup,
            device=trainer.device,
        )
    return spectra


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
    task.check(study.batch_size, study.warmup)
    run.prepare(study, task.statement())
    task.keep_with(run.path)
    for cohort in cohorts(study):
        for pack in cohort.packs:
            run_pack(study, pack, run, task=task, device=device, way=way, on_epoch=on_epoch)
