"""One row for each network of a report: what it is, what was predicted and what came."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from aelle_core.foundation.counting import counted
from aelle_core.report.data import ReportData


@dataclass(frozen=True)
class NetworkRow:
    """A network after the last epoch. Losses are in the task's unit.

    number         its place among the final networks; the page's anchors are made of it
    settings       its hyperparameters as text, without those that its cell does not have
    initial_loss   validation loss before training; None where the network has no spectrum then
    predicted      the final loss that AeLLE expects from the final spectrum
    accuracy       None where the task has none
    seen           whether AeLLE was fitted to it
    """

    number: int
    network: str
    cell: str
    units: int
    settings: dict[str, str]
    initial_loss: float | None
    final_loss: float
    predicted: float
    accuracy: float | None
    good: bool
    seen: bool

    @property
    def settings_text(self) -> str:
        """The settings in one line."""
        return ", ".join(f"{name} {value}" for name, value in self.settings.items())

    @property
    def description(self) -> str:
        """Return what is known of the network, in four lines."""
        started = "" if self.initial_loss is None else f"before training {self.initial_loss:.3f}, "
        lines = [
            f"{self.network}: {self.cell}, {counted(self.units, 'unit')}",
            self.settings_text,
            f"loss: {started}final {self.final_loss:.3f}, predicted {self.predicted:.3f}",
            f"ended {'well' if self.good else 'badly'}; {'seen' if self.seen else 'not seen'} in the fit",
        ]
        return "\n".join(filter(None, lines))


def network_rows(data: ReportData) -> list[NetworkRow]:
    """Return one row for each network that has a spectrum after the last epoch, in the order of `data.final`."""
    final, first = data.final, data.examples_by_epoch[min(data.examples_by_epoch)]
    started = dict(zip(map(str, first.networks), first.loss.tolist(), strict=True)) if first.epoch == 0 else {}
    predicted = data.aelle.predict(final.spectra)
    return [
        NetworkRow(
            number=number,
            network=str(final.networks[number]),
            cell=str(final.cells[number]),
            units=int(final.units[number]),
            settings={
                name.replace("_", " "): f"{values[number]:.3g}"
                for name, values in final.hyperparameters.items()
                if not np.isnan(values[number])
            },
            initial_loss=started.get(str(final.networks[number])),
            final_loss=float(final.final_loss[number]),
            predicted=float(predicted[number]),
            accuracy=None if np.isnan(final.accuracy[number]) else float(final.accuracy[number]),
            good=bool(data.good[number]),
            seen=str(final.networks[number]) not in data.test_networks,
        )
        for number in range(len(final))
    ]


def networks_table(data: ReportData, rows: Sequence[NetworkRow]) -> pa.Table:
    """Return the networks as an Arrow table: what they are, what was predicted, what came, and the final spectrum."""
    columns = ("network", "cell", "units", "initial_loss", "final_loss", "predicted", "accuracy", "good", "seen")
    table = {name: [getattr(row, name) for row in rows] for name in columns}
    table |= {name: pa.array(values, from_pandas=True) for name, values in data.final.hyperparameters.items()}
    return pa.table(table | {"spectrum": pa.array(list(data.final.spectra), pa.list_(pa.float64()))})
