"""Good and bad networks along the first AeLLE component."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from aelle_core.report.data import ReportData
from aelle_core.report.figures.base import ReportFigure, figures
from aelle_core.report.palette import BAD, GOOD, new_figure


@figures.register("4_histograms")
class Histograms(ReportFigure):
    """Stacked histograms with the median boundary."""

    title = "Along the first component"
    caption = (
        "Networks that ended well and badly, stacked, along the first AeLLE component; the dashed line is the median "
        "that the paper's classifier cuts at."
    )

    @staticmethod
    def draw(data: ReportData) -> Figure:
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
        axes.axvline(data.aelle.median_, color="black", linestyle="--", linewidth=1.2, label="median of component 1")
        figure.legend(loc="outside upper left", ncols=3, frameon=False)
        axes.set(xlabel="AeLLE component 1", ylabel="networks")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        return figure
