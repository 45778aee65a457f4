"""Train what screening chooses for a cell that its predictor has never seen, beside what one would have taken."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from aelle_core.cells import Cell, Network, get_cell
from aelle_core.foundation.random_streams import stream_seed
from aelle_core.screening import SpectrumPredictor, Sweep
from aelle_core.screening.spectra import candidate_spectra
from aelle_core.tasks import Supervised, get_task
from aelle_core.training import NetworkSettings, PackTrainer
from benchmarks.shared.rows import Rows

KEY = ("task", "cell", "seed")
VALUES = ("start", "scale", "loss", "accuracy")
DEFAULT, RANDOM, FIXED = "default 1/sqrt(N)", "random scale", (0.3, 0.6, 1.0)
SPECTRA, SCALES = "screened", "screened, over scales"
UNITS = 32
CANDIDATES = 30
SEQUENCES = 3
RANGE = (0.02, 1.0)
WIDTH = 0.25  # of the Gaussian over neighbouring scales, in nats of the scale


@dataclass(frozen=True)
class Setting:
    """A task, the kept sweep that the predictor knows, and how the chosen networks are trained."""

    task: str
    sweep: str
    options: Mapping[str, Any]
    epochs: int
    batch_size: int
    seeds: int
    learning_rate: float = 0.003
    cells: tuple[str, ...] = field(default=())


SETTINGS = {
    "digits": Setting("digits", "digits", {"pixels": 4, "delay": 6}, epochs=12, batch_size=64, seeds=4),
    "smnist": Setting(
        "smnist",
        "smnist",
        {"training_examples": 5000, "validation_examples": 1000},
        epochs=4,
        batch_size=128,
        seeds=3,
    ),
}


def missing(setting: Setting, rows: Rows) -> Iterator[str]:
    """Yield the cells of the sweep that have no rows yet."""
    for cell in sorted(set(Sweep.load(setting.sweep).cells.tolist())):
        if not rows.has(setting.task, cell):
            yield cell


def measure(setting: Setting, cell_name: str, rows: Rows, directory: str | None = None) -> None:
    """Choose a scale for every seed, train all starts as one pack, and add the rows of the cell."""
    options = {**setting.options, **({"directory": directory} if directory else {})}
    task = get_task(setting.task, seed=0, options=options)
    assert isinstance(task, Supervised)
    sweep = Sweep.load(setting.sweep)
    predictor = SpectrumPredictor().fit(sweep.of(sweep.cells != cell_name))
    raw = SpectrumPredictor(smoothing=False)
    raw.__dict__.update({**predictor.__dict__, "smoothing": False})
    cell = get_cell(cell_name, task.input_size, UNITS)
    labels: list[tuple[int, str]] = []
    starts: list[NetworkSettings] = []
    for seed in range(setting.seeds):
        drawn = _candidates(setting, cell, seed)
        chosen = _chosen(setting, cell, drawn, predictor, raw, task)
        plain = {DEFAULT: UNITS**-0.5, **{f"fixed {scale:g}": scale for scale in FIXED}}
        for start, scale in plain.items():
            labels.append((seed, start))
            starts.append(_settings(setting, cell, seed, 0, scale))
        for start, index in {RANDOM: 0, **chosen}.items():  # candidates come in random order: the first is a random one
            labels.append((seed, start))
            starts.append(drawn[index])
    trainer = PackTrainer(cell, task, starts, batch_size=setting.batch_size)
    *_, last = trainer.run(setting.epochs)
    rows.add(
        [
            {
                "task": setting.task,
                "cell": cell_name,
                "seed": seed,
                "start": start,
                "scale": settings.scale,
                "loss": float(loss) if bool(alive) else float("inf"),
                "accuracy": float(accuracy),
            }
            for (seed, start), settings, loss, accuracy, alive in zip(
                labels, starts, last.validation_loss, last.validation_accuracy, last.alive, strict=True
            )
        ]
    )


def _settings(setting: Setting, cell: Cell, seed: int, number: int, scale: float) -> NetworkSettings:
    network = stream_seed(seed, f"screening/{setting.task}/{cell.name}", number)
    return NetworkSettings(network, scale, setting.learning_rate)


def _candidates(setting: Setting, cell: Cell, seed: int) -> list[NetworkSettings]:
    """Candidates with scales drawn log-uniformly, in the order in which they were drawn."""
    source = np.random.default_rng(stream_seed(seed, f"scales/{setting.task}/{cell.name}"))
    low, high = np.log(RANGE)
    scales = np.exp(source.uniform(low, high, CANDIDATES))
    return [_settings(setting, cell, seed, number, float(scale)) for number, scale in enumerate(scales, 1)]


def _chosen(
    setting: Setting,
    cell: Cell,
    drawn: list[NetworkSettings],
    predictor: SpectrumPredictor,
    raw: SpectrumPredictor,
    task: Supervised,
) -> dict[str, int]:
    """Return which candidate has the least expected loss: smoothed over similar spectra, as `screen` does it, and
    smoothed over neighbouring scales."""
    networks = [Network(cell, settings.initial_weights(cell)) for settings in drawn]
    computed = candidate_spectra(networks, task.spectrum_inputs(SEQUENCES))
    alive = [index for index, spectrum in enumerate(computed) if spectrum is not None]
    spectra = [spectrum for spectrum in computed if spectrum is not None]
    smooth = predictor.predict(spectra, setting.learning_rate).loss
    plain = np.log(raw.predict(spectra, setting.learning_rate).loss)
    positions = np.log([drawn[index].scale for index in alive])
    weights = np.exp(-np.square(positions[:, None] - positions[None]) / (2 * WIDTH**2))
    over_scales = weights @ plain / weights.sum(axis=1)
    return {SPECTRA: alive[int(smooth.argmin())], SCALES: alive[int(over_scales.argmin())]}


def seed_everything() -> None:
    """Let torch use one thread: the numbers do not depend on it, but two scripts side by side go faster."""
    torch.set_num_threads(1)
