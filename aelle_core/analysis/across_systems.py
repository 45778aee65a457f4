"""Networks that forecast different systems, made comparable: each is measured beside its own system."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from aelle_core.evaluation import NetworkExamples, all_networks, median_threshold
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.interpolation import interpolate_spectrum
from aelle_core.study import Study
from aelle_core.study.joint import system_of
from aelle_core.tasks import get_task
from aelle_core.tasks.forecast import Forecast

UNIT = "multiples of the system's largest exponent"
"""The unit of exponents where several systems are forecast: how fast a system is depends on its step alone."""


def beside_their_systems(
    studies: Sequence[Study], examples: Sequence[Mapping[int, NetworkExamples]], *, in_nats: bool = False
) -> dict[int, NetworkExamples]:
    """Return the networks of studies of several systems as one, epoch by epoch, from those of each study.

    Outcomes are over the median outcome of the network's own study, so that a good network has less than 1 whatever
    the system; exponents are over the system's largest, or `in_nats` per step as they are, and spectra of several
    sizes are interpolated to the largest. A network's name has its system before it. Raises UserError where no largest
    exponent of a system is published.
    """
    joined: dict[int, NetworkExamples] = {}
    size = max(present.spectra.shape[1] for by_epoch in examples for present in by_epoch.values())
    for study, by_epoch in zip(studies, examples, strict=True):
        unit = 1.0 if in_nats else largest_exponent(study)
        median = median_threshold(all_networks(by_epoch).final_loss)
        for epoch, present in by_epoch.items():
            beside = dataclasses.replace(
                present,
                spectra=np.stack([interpolate_spectrum(spectrum / unit, size) for spectrum in present.spectra]),
                final_loss=present.final_loss / median,
                networks=np.array([f"{system_of(study)}/{study.identity}/{name}" for name in present.networks]),
            )
            joined[epoch] = joined[epoch].with_rows(beside) if epoch in joined else beside
    return joined


def largest_exponent(study: Study) -> float:
    """Return the published largest exponent of the system that a study forecasts, in nats per step."""
    task = get_task(study.task, seed=study.seed, options=study.task_options)
    known = task.exponents_per_step if isinstance(task, Forecast) else {}
    if not known.get(0):
        raise UserError(
            f"{system_of(study)!r} has no published largest exponent: expected one, by which its networks are measured "
            "beside those of other systems"
        )
    return known[0]
