"""Table 1: the pre-trained AeLLE and the loss as predictors in the first half of training."""

from aelle_core.evaluation.tables.base import EarlyTable, table_makers


@table_makers.register("pretrained")
class Pretrained(EarlyTable):
    """Precision, recall and F1 by epoch."""

    title = "Table 1: the pre-trained AeLLE and the loss"
    caption = (
        "The AeLLE is fitted to the final spectra of the training networks and applied to earlier ones as it is; "
        "splits of {early} by network. The loss counts where it is below the threshold already (the paper's "
        "predictor), or below a cut chosen anew at each epoch on validation networks (current loss)."
    )
    order = 1
    shown = ("AeLLE median", "AeLLE predictor", "loss below threshold", "current loss")
    metrics = ("precision", "recall", "f1")
