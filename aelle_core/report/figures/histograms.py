"""Good and bad networks along the first AeLLE component."""

from matplotlib.figure import Figure

from aelle_core.report.data import ReportData
from aelle_core.report.palette import BAD, GOOD, new_figure


def draw_histograms(data: ReportData) -> Figure:
    """Stacked histograms with the median boundary."""
    figure, axes = new_figure(height=3.8)
    first = data.aelle.transform(data.final.spectra)[:, 0]
    axes.hist(
        [first[data.good], first[~data.good]],
        bins=28,
        stacked=True,
        color=[GOOD, BAD],
        label=[f"ended below {data.threshold:.2f}", "ended above"],
        edgecolor="white",
        linewidth=0.4,
    )
    axes.axvline(data.aelle.median_, color="black", linestyle="--", linewidth=1.2, label="median")
    axes.legend(frameon=False)
    axes.set(xlabel="AeLLE component 1", ylabel="networks")
    return figure
