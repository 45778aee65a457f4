"""Finished sweeps as arrays: spectra before training, losses epoch by epoch, and what was drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.interpolation import interpolate_spectrum
from aelle_core.pretrained import load_spectra, manifest

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS = ("cell", "units", "network", "epoch", "status", "hyperparameters", "validation_loss", "spectrum_hidden")


@dataclass(frozen=True)
class Sweep:
    """Networks of one finished study, one row each.

    spectra          (n,) arrays of hidden-state exponents before training, nats per step, descending
    losses           (n, epochs + 1) validation losses in the task's unit, infinite from where a network diverged
    hyperparameters  what was drawn for each network, by name
    cells, units     the networks' cells and sizes
    """

    spectra: tuple[np.ndarray, ...]
    losses: np.ndarray
    hyperparameters: tuple[Mapping[str, float], ...]
    cells: np.ndarray
    units: np.ndarray

    def __len__(self) -> int:
        return len(self.spectra)

    @property
    def final_loss(self) -> np.ndarray:
        """(n,) losses after the last epoch; a diverged network has the worst of the others."""
        last = self.losses[:, -1]
        finite = last[np.isfinite(last)]
        return np.where(np.isfinite(last), last, finite.max() if len(finite) else np.inf)

    @property
    def learning_rates(self) -> np.ndarray:
        """(n,), NaN where none was drawn."""
        return np.array([drawn.get("learning_rate", np.nan) for drawn in self.hyperparameters])

    def of(self, chosen: np.ndarray) -> "Sweep":
        """Return the networks chosen by indices (chosen,) or by a mask (n,)."""
        index = np.arange(len(self))[chosen]
        return Sweep(
            tuple(self.spectra[row] for row in index),
            self.losses[index],
            tuple(self.hyperparameters[row] for row in index),
            self.cells[index],
            self.units[index],
        )

    @classmethod
    def of_table(cls, table: "pa.Table", name: str) -> "Sweep":
        """Return the sweep in a table with the columns of SpectraStore.read. Raises UserError, naming the sweep, where
        there are no spectra before training or no finished networks."""
        rows = table.select([column for column in _COLUMNS if column in table.schema.names]).to_pylist()
        if not rows:
            raise UserError(f"sweep {name!r} holds no networks: expected a finished study")
        last = max(row["epoch"] for row in rows)
        losses: dict[str, np.ndarray] = {}
        before: dict[str, dict[str, Any]] = {}
        ended: set[str] = set()
        for row in rows:
            at = losses.setdefault(row["network"], np.full(last + 1, np.inf))
            loss = row["validation_loss"]
            at[row["epoch"]] = loss if row["status"] == "ok" and loss is not None and np.isfinite(loss) else np.inf
            if row["epoch"] == 0 and row["spectrum_hidden"] is not None:
                before[row["network"]] = row
            if row["epoch"] == last:
                ended.add(row["network"])
        names = [network for network in before if network in ended]
        if len(names) < 2:
            raise UserError(
                f"sweep {name!r} has {counted(len(names), 'finished network')} with a spectrum before training: "
                "expected at least 2; its study must take hidden-state spectra at epoch 0"
            )
        chosen = [before[network] for network in names]
        return cls(
            spectra=tuple(np.sort(np.array(row["spectrum_hidden"], dtype=float))[::-1] for row in chosen),
            losses=np.stack([losses[network] for network in names]),
            hyperparameters=tuple(dict(row["hyperparameters"] or ()) for row in chosen),
            cells=np.array([row["cell"] for row in chosen]),
            units=np.array([row["units"] for row in chosen]),
        )

    @classmethod
    def load(cls, source: str | Path) -> "Sweep":
        """Return the sweep that ships under this name, or the one in a run's directory or its store.

        Raises UserError where there is neither, and where `of_table` does.
        """
        if str(source) in manifest():
            return cls.of_table(load_spectra(str(source)), str(source))
        from aelle_core.files.places import place
        from aelle_core.store import SpectraStore

        root = place(str(source))
        inside = root / "spectra"
        if not root.exists():
            known = ", ".join(sorted(manifest()))
            raise UserError(
                f"{str(source)!r} is no directory and ships with no such name: expected one of {known}, or a run"
            )
        return cls.of_table(SpectraStore(str(inside if inside.exists() else root)).read(), str(source))


def spectrum_features(spectra: Sequence[np.ndarray], size: int) -> np.ndarray:
    """Return (n, size): exponents interpolated to `size` places, floored at -40, as asinh(exponent / 0.05).

    asinh spreads exponents near 0, where differences matter, and gathers those far below, where they do not.
    """
    rows = [np.maximum(interpolate_spectrum(spectrum, size), -40.0) for spectrum in spectra]
    return np.arcsinh(np.stack(rows) / 0.05)
