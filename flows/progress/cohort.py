"""How far a cohort is: read from the store, shown in the terminal and in Prefect's artifacts."""

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from aelle_core.store.dataset import SpectraStore
from aelle_core.study import Cohort
from flows.progress.display import display

STAGE = "Training"
_PUBLISHED_PERCENT = 10


class CohortProgress:
    """Follows a cohort's packs by their stored fragments, into the display and a Prefect artifact.

    What was stored before is learned in one listing; of later on it remembers only packs that are under way.
    """

    def __init__(self, cohort: Cohort, store: SpectraStore) -> None:
        self._cohort, self._study, self._store = cohort, cohort.packs.study, store
        self._epochs = self._study.epochs + 1
        self._before = self._stored_before()
        self._under_way: dict[str, int] = {}  # stored epochs
        self._total = len(cohort.packs.numbers) * self._epochs
        self._done = 0
        self._published = 0.0
        self._artifact = create_progress_artifact(
            progress=0.0, key=cohort.name.replace(" ", "-").replace("_", "-"), description=f"Training {cohort.name}"
        )

    def _stored_before(self) -> dict[str, frozenset[int]]:
        """Return the stored epochs of the cohort's packs, where there are any; most packs share one and the same
        set."""
        shared: dict[frozenset[int], frozenset[int]] = {}
        stored = self._store.stored(self._study.identity, self._cohort.cell)
        own = f"{self._cohort.cell}-{self._cohort.units}-"
        sets = ((pack, frozenset(epochs)) for (_, pack), epochs in stored.items() if pack.startswith(own))
        return {pack: shared.setdefault(epochs, epochs) for pack, epochs in sets}

    def begin(self, name: str) -> frozenset[int]:
        """Note a pack that is going to be trained, or is settled if all of it was stored. Returns its stored epochs."""
        before = self._before.pop(name, frozenset())
        self._advance(name, len(before), self._cohort.name)
        if len(before) == self._epochs:
            del self._under_way[name]
        return before

    def look(self, names: list[str]) -> None:
        """Count the epochs that packs under way have stored since the last look."""
        for name in names:
            self.stored(name)

    def stored(self, name: str) -> int:
        """How many epochs of a pack under way are stored."""
        epoch = self._under_way[name]
        while epoch < self._epochs and self._store.has(self._study.identity, self._cohort.cell, name, epoch):
            epoch += 1
        self._advance(name, epoch, f"{self._cohort.cell} {self._cohort.units}, epoch {epoch - 1}")
        return epoch

    def settle(self, name: str, now: str = "") -> None:
        """Nothing more is to be done for a pack: it is trained, or given up."""
        self._advance(name, self._epochs, now or f"{self._cohort.cell} {self._cohort.units}")
        del self._under_way[name]

    def _advance(self, name: str, epoch: int, now: str) -> None:
        new = epoch - self._under_way.get(name, 0)
        self._under_way[name] = epoch
        if not new:
            return
        packs = self._cohort.packs
        networks = new * len(packs.networks(int(name.rpartition("pack")[2])))
        self._done += networks
        display().advance(STAGE, networks, now)
        percent = 100.0 * self._done / self._total
        if percent - self._published >= _PUBLISHED_PERCENT or (self._done == self._total and self._published < 100):
            update_progress_artifact(self._artifact, progress=percent)  # type: ignore[arg-type]
            self._published = percent
