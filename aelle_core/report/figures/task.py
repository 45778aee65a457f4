"""What the networks are trained to do."""

from matplotlib.figure import Figure

from aelle_core.report.data import ReportData
from aelle_core.report.figures.base import ReportFigure, figures
from aelle_core.report.palette import GOOD, blank


@figures.register("0_task")
class Task(ReportFigure):
    """A panel for each picture of the task: a curve, or a sequence as an image."""

    title = "The task"
    caption = "What the networks learn: sequences as they are read, time to the right, or the curve to be drawn."

    @staticmethod
    def absent(data: ReportData) -> str | None:
        return data.illustration if isinstance(data.illustration, str) else None

    @staticmethod
    def draw(data: ReportData) -> Figure:
        panels = [] if isinstance(data.illustration, str) else data.illustration
        figure = blank(7.2, 2.4)
        for axes, (label, values) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            if values.ndim == 1 or values.shape[1] == 1:
                axes.plot(values, color=GOOD, linewidth=1.6)
                axes.spines[["top", "right"]].set_visible(False)
            else:
                axes.imshow(values.T, aspect="auto", cmap="Greys", interpolation="nearest")
                axes.set_ylabel("feature" if axes.get_subplotspec().is_first_col() else "")
            axes.set_title(label, fontsize=10)
            axes.set_xlabel("step")
        return figure
