"""What a study found, in one sentence."""

from aelle_core.evaluation.verdicts import conclusion
from aelle_core.foundation.counting import counted
from aelle_core.report.data import ReportData


def headline(data: ReportData) -> str:
    """Return the conclusion of the verdicts; where AeLLE could not be measured, how the networks ended."""
    if sentence := conclusion(data.summaries, data.last_epoch):
        return sentence[0]
    low, high = data.final.final_loss.min(), data.final.final_loss.max()
    return (
        f"The {counted(len(data.final), 'network')} ended with losses from {low:.3g} to {high:.3g}; they are too few "
        "to say how well their spectra tell good from bad."
    )
