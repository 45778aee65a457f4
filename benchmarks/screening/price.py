"""How well spectra of few sequences and few exponents rank networks, and what they cost."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from sklearn.model_selection import KFold

from aelle_core.cells import Network, get_cell
from aelle_core.lyapunov import pack_spectra
from aelle_core.pretrained import load_spectra, manifest
from aelle_core.screening import SpectrumPredictor, Sweep
from aelle_core.study import Study
from aelle_core.study.variants import Cohort, cohorts
from aelle_core.tasks import Task, get_task
from aelle_core.training import trainers
from benchmarks.shared.rows import Rows

KEY = ("study", "epoch", "sequences", "exponents")
VALUES = ("networks", "rank", "error", "milliseconds")
SEQUENCES, EXPONENTS = (1, 3, 15), (8, 0)
FOLDS = 5
SWEEPS: Mapping[str, tuple[int, ...]] = {
    "digits": (0,),
    "mixed": (0,),
    "smnist": (0,),
    "char": (0,),
}
"""Kept sweep -> epochs at which spectra of all kinds are computed again; after epoch 0 its networks are trained for
it. Spectra from all sequences that a sweep keeps are used at the epochs KEPT and at its last one."""
KEPT = (1, 3)

Spectra = dict[str, np.ndarray]


def measure(name: str, rows: Rows, directory: str | None) -> None:
    """Add the rows of one sweep that are missing, and its kept spectra at every epoch."""
    study = Study.from_dict(manifest()[name]["studies"][0], planned=False)
    table = load_spectra(name).to_pylist()
    kept = [row for row in table if row["study"] == study.identity]
    ended = {row["network"]: row for row in kept if row["epoch"] == study.epochs}
    epochs = SWEEPS[name]
    if any(not rows.has(name, epoch, SEQUENCES[-1], EXPONENTS[-1]) for epoch in epochs):
        options = {key: value for key, value in study.task_options.items() if key != "directory"}
        if study.task == "smnist" and directory:
            options["directory"] = directory
        task = get_task(study.task, seed=study.seed, options=options)
        by_kind, milliseconds = _computed(study, task, epochs)
        for (epoch, *kind), spectra in by_kind.items():
            if not rows.has(name, epoch, *kind):
                rows.add([_row(name, epoch, *kind, spectra, ended, milliseconds[kind[0], kind[1]])])
    for epoch in sorted({row["epoch"] for row in kept} & {*KEPT, study.epochs}):
        spectra = {
            row["network"]: np.sort(np.array(row["spectrum_hidden"], float))[::-1]
            for row in kept
            if row["epoch"] == epoch and row["spectrum_hidden"] is not None
        }
        for exponents in EXPONENTS if spectra else ():
            if not rows.has(name, epoch, study.spectrum_sequences, exponents):
                cut = {network: spectrum[: exponents or None] for network, spectrum in spectra.items()}
                rows.add([_row(name, epoch, study.spectrum_sequences, exponents, cut, ended, float("nan"))])


def _row(
    name: str, epoch: int, sequences: int, exponents: int, spectra: Spectra, ended: Mapping[str, Any], cost: float
) -> dict[str, object]:
    names = [network for network in spectra if network in ended and np.isfinite(spectra[network][0])]
    losses = [ended[network]["validation_loss"] for network in names]
    sweep = Sweep(
        tuple(spectra[network] for network in names),
        np.array([[np.inf if loss is None else loss] for loss in losses], float),
        tuple(dict(ended[network]["hyperparameters"]) for network in names),
        np.array([ended[network]["cell"] for network in names]),
        np.array([ended[network]["units"] for network in names]),
    )
    ranks = []
    for train, test in KFold(FOLDS, shuffle=True, random_state=0).split(np.arange(len(names))):
        predictor = SpectrumPredictor(smoothing=False).fit(sweep.of(train))
        asked = sweep.of(test)
        expected = predictor.predict(asked.spectra, asked.learning_rates if predictor.uses_rate_ else None).loss
        ranks.append(float(spearmanr(expected, asked.final_loss).statistic))
    print(f"{name} epoch {epoch}, {sequences} sequences, {exponents or 'all'}: {np.mean(ranks):.3f}", flush=True)
    return {
        "study": name,
        "epoch": epoch,
        "sequences": sequences,
        "exponents": exponents,
        "networks": len(names),
        "rank": float(np.mean(ranks)),
        "error": float(np.std(ranks, ddof=1) / FOLDS**0.5),
        "milliseconds": cost,
    }


def _computed(
    study: Study, task: Task, epochs: tuple[int, ...]
) -> tuple[dict[tuple[int, int, int], Spectra], dict[tuple[int, int], float]]:
    """Return spectra by (epoch, sequences, exponents), and milliseconds of a network by (sequences, exponents)."""
    by_kind: dict[tuple[int, int, int], Spectra] = {}
    seconds: dict[tuple[int, int], float] = {}
    for cohort in cohorts(study):
        for epoch, names, network in _stages(study, cohort, task, epochs):
            for count in SEQUENCES:
                inputs = task.spectrum_inputs(count)
                for exponents in EXPONENTS:
                    begun = time.process_time()
                    spectra = pack_spectra(network, inputs, jacobian="hidden", k=exponents or None)
                    if epoch == 0:
                        taken = time.process_time() - begun
                        seconds[count, exponents] = seconds.get((count, exponents), 0.0) + taken
                    of_kind = by_kind.setdefault((epoch, count, exponents), {})
                    of_kind.update({name: spectrum.exponents for name, spectrum in zip(names, spectra, strict=True)})
    return by_kind, {kind: 1e3 * taken / study.total_networks for kind, taken in seconds.items()}


def _stages(
    study: Study, cohort: Cohort, task: Task, epochs: tuple[int, ...]
) -> Iterator[tuple[int, list[str], Network]]:
    """Yield an epoch, the names of networks, and the networks as they are after it, as packs."""
    cell = get_cell(cohort.cell, task.input_size, cohort.units)
    for pack in cohort.packs:
        names = [variant.network for variant in pack.variants]
        settings = [variant.settings for variant in pack.variants]
        trainer = trainers[task.trainer](cell, task, settings, batch_size=study.batch_size)
        if max(epochs) == 0:
            yield 0, names, trainer.network()
            continue
        for result in trainer.run(max(epochs)):
            if result.epoch in epochs:
                network = trainer.network()
                held = {name: value.detach().clone() for name, value in network.parameters.items()}
                yield result.epoch, names, replace(network, parameters=held)
