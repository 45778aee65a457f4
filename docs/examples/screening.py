"""What screening is worth on digits: cells never seen, and a replay. Draws docs/pictures/screening.png.

python docs/examples/screening.py        # about half a minute on one core
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from aelle_core.screening import SpectrumPredictor, Sweep
from aelle_core.screening.replay import replay

PICTURE = Path(__file__).parent.parent / "pictures" / "screening.png"


def cells_never_seen(sweep: Sweep) -> dict[str, tuple[float, float]]:
    """Rank correlation of expected and final loss within each cell, by a predictor that knows the other cells: with
    the learning rate beside the spectrum, and of the learning rate alone."""
    found = {}
    for cell in sorted(set(sweep.cells.tolist())):
        asked = sweep.of(sweep.cells == cell)
        predictor = SpectrumPredictor(smoothing=False).fit(sweep.of(sweep.cells != cell))
        expected = predictor.predict(asked.spectra, asked.learning_rates).loss
        by_rate = abs(spearmanr(asked.learning_rates, asked.final_loss).statistic)
        found[cell] = (float(spearmanr(expected, asked.final_loss).statistic), float(by_rate))
    return found


def main() -> None:
    """Print both tables and draw the replay."""
    sweep = Sweep.load("digits")
    print("cell never seen | spectrum and learning rate | learning rate alone")
    ranks = cells_never_seen(sweep)
    for cell, (ours, rate) in ranks.items():
        print(f"{cell} | {ours:.2f} | {rate:.2f}")
    print(
        f"mean | {np.mean([one for one, _ in ranks.values()]):.2f} | {np.mean([two for _, two in ranks.values()]):.2f}"
    )
    found = replay(sweep)
    figure = Figure(figsize=(6.4, 3.8), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    for method, regret in sorted(found.regret.items(), key=lambda item: float(item[1].mean())):
        with_spectrum = "spectrum" in method
        style = {"marker": "o", "linewidth": 2} if with_spectrum else {"marker": "s", "linewidth": 1, "linestyle": "--"}
        axes.plot(np.array(found.shares) * 100, regret, label=method, **style)
        print(method, "|", " | ".join(f"{a:.3f} ± {b:.3f}" for a, b in zip(regret, found.spread[method], strict=True)))
    print(found.verdict)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([100 * share for share in found.shares], [f"{share:.0%}" for share in found.shares])
    axes.set_xlabel("share of the price of training the whole sweep")
    axes.set_ylabel("regret: loss above the best,\nas a share of it")
    axes.legend(frameon=False, fontsize="small")
    figure.savefig(PICTURE, dpi=150)


if __name__ == "__main__":
    main()
