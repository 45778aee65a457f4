"""Axes over several orders of magnitude, with ticks that are plain numbers."""

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter

_TICKS = [sign * level for sign in (-1, 1) for level in (0, 1, 3, 10, 30, 100, 300, 1000)]


_WIDE = 1e3
"""Largest over smallest number of an axis, from which on powers of ten alone have names."""


def plain_numbers(axis: Axis) -> None:
    """Tick a logarithmic axis with plain numbers: powers of ten, and where there is room 2 and 5 times them."""
    low, high = axis.get_view_interval()
    named = "25" if high < _WIDE * low else ""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in named else ""))


def symmetric_logarithm(axes: Axes) -> None:
    """Show y linearly from -1 to 1 and by its logarithm beyond, for exponents of which some are far below."""
    axes.set_yscale("symlog", linthresh=1)
    axes.yaxis.set_major_locator(FixedLocator(_TICKS))
    axes.yaxis.set_minor_locator(FixedLocator([]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
