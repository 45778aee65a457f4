"""What packs of a study took, kept in a file beside the dataset so that a run that goes on tells of all of them."""

import dataclasses
import json
import statistics
from dataclasses import dataclass, field
from pathlib import Path

from aelle_core.files.atomic import write_atomically
from aelle_core.study import PackSummary
from benchmarks.training.profiles import Profile


@dataclass(frozen=True)
class PackRecord:
    """A pack that was trained from its start in one go: seconds in all, by training and by spectra, and what its
    profile had predicted for the training."""

    cell: str
    networks: int
    epochs: int
    seconds: float
    training: float
    spectra: float
    predicted: float


@dataclass(frozen=True)
class Start:
    """The way that a cell's packs are trained in, how many networks at once (None: all that fit), and a profile."""

    way: str
    networks_at_once: int | None
    profile: Profile


@dataclass
class Records:
    """What each cell began with, and packs; both are written when one is kept."""

    path: Path
    starts: dict[str, Start] = field(default_factory=dict)
    packs: list[PackRecord] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> "Records":
        """Those of earlier runs, or none."""
        if not path.exists():
            return cls(path)
        content = json.loads(path.read_text())
        starts = {
            cell: Start(start["way"], start["networks_at_once"], Profile(**start["profile"]))
            for cell, start in content["starts"].items()
        }
        return cls(path, starts, [PackRecord(**record) for record in content["packs"]])

    def keep_start(self, cell: str, start: Start) -> None:
        self.starts[cell] = start
        self._write()

    def keep_pack(self, cell: str, networks: int, epochs: int, summary: PackSummary, predicted: float) -> None:
        """Nothing of a pack that went on from an earlier run: its times are of a part."""
        if summary.stored == epochs + 1:
            times = (summary.seconds, summary.training_seconds, summary.spectra_seconds, predicted)
            self.packs.append(PackRecord(cell, networks, epochs, *times))
            self._write()

    def of(self, cell: str) -> list[PackRecord]:
        """The packs of a cell."""
        return [record for record in self.packs if record.cell == cell]

    def spectra_seconds_per_network(self) -> float:
        """Of one network at one epoch, from the packs so far; 0 before the first."""
        networks = sum(record.networks * (record.epochs + 1) for record in self.packs)
        return sum(record.spectra for record in self.packs) / networks if networks else 0.0

    def correction(self) -> float:
        """How many times longer training took than the profile predicted, at the median; at least once."""
        ratios = [record.training / record.predicted for record in self.packs]
        return max(1.0, statistics.median(ratios)) if ratios else 1.0

    def _write(self) -> None:
        content = {
            "starts": {cell: dataclasses.asdict(start) for cell, start in self.starts.items()},
            "packs": [dataclasses.asdict(record) for record in self.packs],
        }
        text = json.dumps(content, indent=2)
        write_atomically(self.path, lambda temporary: temporary.write_text(text))
