"""Whether a network may be predicted by a study's AeLLE."""

from typing import Any

from aelle_core.aelle.accepted_spectra import TakenSpectra
from aelle_core.aelle.estimator import AeLLE
from aelle_core.cells import Network, from_torch
from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError
from aelle_core.loading.networks import Loaded
from aelle_core.study.model import Study
from aelle_core.tasks import get_task


def check_like_the_study(aelle: AeLLE, study: Study, loaded: Loaded, steps: int, kind: str) -> None:
    """Compare a network with those that the study's AeLLE was fitted to: cell, features, steps and kind of spectrum.

    Raises UserError, saying what is accepted, where any of these differs.
    """
    task = get_task(study.task, seed=study.seed, options=study.task_options)
    like = task.spectrum_inputs(1)
    takes = aelle.takes_ or TakenSpectra(
        task=study.task,
        cells=tuple(study.cells),
        kind=study.spectra[0],
        exponents=aelle.n_features_in_,
        steps=int(like.shape[1]) - study.warmup,
    )
    cell, features = _cell_and_features(loaded.system)
    takes.check(cell=cell, kind=kind, steps=steps)
    if features is not None and features != like.shape[2]:
        raise UserError(
            f"a network of {counted(features, 'input')}: this AeLLE takes networks of {like.shape[2]}, of "
            f"{study.task!r}"
        )


def _cell_and_features(system: Any) -> tuple[str | None, int | None]:
    """Return what is known of a network: its cell and how many inputs it has."""
    if isinstance(system, Network):
        return system.cell.name, system.cell.input_size
    layers = getattr(system, "num_layers", None)
    if layers is None:
        return None, None
    if layers > 1:
        raise UserError(f"a network of {layers} layers: this AeLLE takes networks of one")
    cell = from_torch(system)[0].cell
    return cell.name, cell.input_size
