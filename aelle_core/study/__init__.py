"""Studies: which networks to train on what, cut into packs, run into a directory that survives a kill."""

from aelle_core.study.cost import CohortCost, cohort_cost
from aelle_core.study.directory import RunDirectory
from aelle_core.study.joint import join
from aelle_core.study.model import Study, check_study_name
from aelle_core.study.presets import changed_study, get_preset, presets, read_options
from aelle_core.study.quarantine import Quarantine, QuarantinedPack
from aelle_core.study.run import PackSummary, run_pack, run_study
from aelle_core.study.variants import Cohort, Pack, Packs, Variant, cohorts

__all__ = [
    "Cohort",
    "CohortCost",
    "Pack",
    "PackSummary",
    "Packs",
    "Quarantine",
    "QuarantinedPack",
    "RunDirectory",
    "Study",
    "Variant",
    "changed_study",
    "check_study_name",
    "cohort_cost",
    "cohorts",
    "get_preset",
    "join",
    "presets",
    "read_options",
    "run_pack",
    "run_study",
]
