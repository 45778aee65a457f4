"""Tables as text."""

from aelle_core.evaluation.metrics import METRICS
from aelle_core.report import text_tables


def test_every_metric_has_a_name_that_tables_print() -> None:
    assert set(text_tables.METRICS) == set(METRICS)
    assert len(set(text_tables.METRICS.values())) == len(METRICS)
