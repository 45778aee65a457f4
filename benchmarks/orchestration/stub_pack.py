"""A pack that is not trained: what a Ray task of the sweep costs beside its training."""

import time

import numpy as np

from aelle_core.store.schema import NetworkRecord
from aelle_core.study import Packs, PackSummary, RunDirectory
from aelle_core.study.faults import place_failures_named


def store_random_pack(
    packs: Packs, number: int, directory: str, device: str, threads: int, way: str | None
) -> PackSummary:
    """Store random numbers for every epoch of the pack, in place of flows.ray_tasks.train_pack."""
    started = time.monotonic()
    run, study, pack = RunDirectory(directory), packs.study, packs[number]
    drawn = np.random.default_rng(number)
    with place_failures_named(run):
        store = run.store
        for epoch in range(study.epochs + 1):
            store.write(
                [
                    NetworkRecord(
                        study=study.identity, task=study.task, cell=pack.cell, units=pack.units, pack=pack.name,
                        network=variant.network, epoch=epoch, seed=variant.settings.seed, status="ok",
                        hyperparameters=dict(variant.hyperparameters), train_loss=float(drawn.random()),
                        validation_loss=float(drawn.random()), validation_accuracy=float(drawn.random()),
                        spectrum_hidden=-np.sort(drawn.exponential(size=pack.units)), dead_directions=0,
                        sum_rule_residual=0.0,
                    )
                    for variant in pack.variants
                ]
            )  # fmt: skip
    return PackSummary(pack.name, study.epochs + 1, 0, time.monotonic() - started)
