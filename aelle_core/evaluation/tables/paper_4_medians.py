"""Table 4: cells between the medians of the first AeLLE components."""

import numpy as np

from aelle_core.evaluation.classifiers.base import Classifier
from aelle_core.evaluation.examples import NetworkExamples
from aelle_core.evaluation.metrics import Measurement
from aelle_core.evaluation.tables.base import EarlyTable, table_makers
from aelle_core.evaluation.tables.material import Material

DEPTHS = (1, 2, 4, 10)


class MedianCells(Classifier):
    """The medians of the first `depth` components cut the space into 2^depth cells; good where most of the training
    networks in the cell are. A cell without any takes the answer of the cell without its last median.

    The medians are those of the training networks at this epoch. `score` is the share of good networks in the cell.
    """

    kind = "spectrum"
    description = "Cells between the medians of the first AeLLE components"
    depth: int = 1

    def _components(self, examples: NetworkExamples) -> np.ndarray:
        return self.aelle.transform(examples.spectra)[:, : self.depth]

    def _sides(self, examples: NetworkExamples) -> np.ndarray:
        return self._components(examples) > self._medians

    def fit(self, train: NetworkExamples, validation: NetworkExamples, threshold: float) -> None:
        self._medians = np.median(self._components(train), axis=0)
        self._shares: dict[tuple[bool, ...], float] = {}
        sides, good = self._sides(train), train.final_loss < threshold
        for depth in range(sides.shape[1] + 1):
            combinations, index = np.unique(sides[:, :depth], axis=0, return_inverse=True)
            counts = np.bincount(index.ravel())
            shares = np.bincount(index.ravel(), weights=good) / counts
            self._shares |= {
                tuple(side.tolist()): float(share) for side, share in zip(combinations, shares, strict=True)
            }

    def score(self, examples: NetworkExamples) -> np.ndarray:
        return np.array([self._share(tuple(sides.tolist())) for sides in self._sides(examples)])

    def _share(self, sides_so_far: tuple[bool, ...]) -> float:
        while sides_so_far not in self._shares:
            sides_so_far = sides_so_far[:-1]
        return self._shares[sides_so_far]

    def predict(self, examples: NetworkExamples) -> np.ndarray:
        return self.score(examples) > 0.5


def median_cells(depth: int) -> type[MedianCells]:
    """Return the classifier of that many medians."""
    return type(f"MedianCells{depth}", (MedianCells,), {"depth": depth})


def _row(depth: int) -> str:
    return f"{2**depth} cells of {depth} median{'s' if depth > 1 else ''}"


@table_makers.register("medians")
class Medians(EarlyTable):
    """2^d cells, by epoch."""

    title = "Table 4: cells between medians"
    caption = (
        "The medians of the first d AeLLE components cut the space into 2^d cells, and a cell says what most of its "
        "training networks did; splits of {early}. An empty cell takes the answer of the cell without its last median."
    )
    order = 4
    shown = tuple(map(_row, DEPTHS))
    rivals = ((_row(DEPTHS[-1]), _row(1)), (_row(1), "Gaussian process on hyperparameters"))

    def measured(self, material: Material) -> list[Measurement]:
        chosen = {_row(depth): median_cells(depth) for depth in DEPTHS}
        splits = material.drawn(material.protocol.early)
        return [*material.measure(splits, material.early_epochs, chosen), *material.early]
