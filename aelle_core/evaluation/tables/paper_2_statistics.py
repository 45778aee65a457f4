"""Table 2: single statistics of the spectrum by epoch."""

from aelle_core.evaluation.tables.base import EarlyTable, table_makers


@table_makers.register("statistics")
class Statistics(EarlyTable):
    """F1 of one number of the spectrum, by epoch."""

    title = "Table 2: one number of the spectrum"
    caption = (
        "F1 of the mean, the largest exponent, the first principal component of the exponents and the first AeLLE "
        "component, each cut where it does best on the validation networks of that epoch; splits of {early}."
    )
    order = 2
    shown = ("LE mean", "LE max", "LE PC1", "AeLLE PC1")
