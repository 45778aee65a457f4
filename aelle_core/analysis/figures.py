"""The report's figures of finished studies, of what ships with the package too, without a run's analysis."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

from aelle_core.analysis.prepare import prepare_joint_analysis
from aelle_core.analysis.report import shown
from aelle_core.analysis.saved import fit_aelle
from aelle_core.analysis.trained import Trained
from aelle_core.evaluation import evaluate_split
from aelle_core.files.places import Place
from aelle_core.foundation.child_processes import joblib_bound_to_this_process
from aelle_core.report import ReportData, draw_figures, save_figures


def drawn_from(trained: Sequence[Trained], settings: dict[str, Any]) -> ReportData:
    """Return what the figures of studies of one shape are drawn from, measured as `aelle analyse` does. `settings` are
    "splits", "seed" and "regress" ("rank", "log" or "loss"). Raises UserError where `prepare_joint_analysis` does."""
    study = trained[0].study
    analysis = prepare_joint_analysis(trained, splits=settings["splits"], seed=settings["seed"])
    how = {"threshold": analysis.threshold, "aelle_parameters": {"target": settings["regress"]}}
    with joblib_bound_to_this_process(n_jobs=-1):
        measured = Parallel()(
            delayed(evaluate_split)(analysis.examples, split, seed=settings["seed"], **how) for split in analysis.splits
        )
    aelle = fit_aelle(analysis, study, {"target": settings["regress"], "random_state": settings["seed"]})
    return shown(analysis, study, aelle, [measurement for measurements in measured for measurement in measurements])


def draw_studies(trained: Sequence[Trained], settings: dict[str, Any], directory: Path) -> list[Place]:
    """Draw every figure of the report into a directory, as PNG and SVG, except the task's, whose data may have to be
    downloaded. Returns the files."""
    return save_figures(draw_figures(drawn_from(trained, settings)), directory)
