"""Table 2: single statistics of the spectrum by epoch."""

from aelle_core.evaluation.tables.base import EarlyTable, table_makers


@table_makers.register("statistics")
class Statistics(EarlyTable):
    """One number of the spectrum, by epoch."""

    title = "Table 2: one number of the spectrum"
    caption = (
        "The mean, the largest exponent, the first principal component of the exponents and the first AeLLE "
        "component, each cut where it does best on the validation networks of that epoch; splits of {early}."
    )
    order = 2
    shown = ("LE mean", "LE max", "LE PC1", "AeLLE PC1")
    rivals = tuple(
        ("AeLLE PC1", over) for over in ("LE mean", "LE max", "LE PC1", "Gaussian process on hyperparameters")
    )
