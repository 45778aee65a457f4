"""Packs that failed in every attempt: set apart by name, with the cause, so that a study completes without them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime

from aelle_core.files.atomic import write_atomically
from aelle_core.files.places import Place
from aelle_core.foundation.errors import UserError, some_of


@dataclass(frozen=True)
class QuarantinedPack:
    """A pack that was given up: the names of its networks, how often it was tried, in one line what failed last, and
    when (ISO 8601, UTC)."""

    pack: str
    networks: tuple[str, ...]
    attempts: int
    cause: str
    when: str

    @classmethod
    def now(cls, pack: str, networks: Iterable[str], attempts: int, cause: str) -> "QuarantinedPack":
        """Return the record of a pack that is given up now."""
        return cls(pack, tuple(networks), attempts, cause, datetime.now(UTC).isoformat(timespec="seconds"))


class Quarantine:
    """The records of a run's packs that were given up, a file PACK.json for each."""

    def __init__(self, path: Place) -> None:
        self.path = path

    def add(self, pack: QuarantinedPack) -> None:
        """Record a pack, in the place of an earlier record of it. Raises FileNotFoundError when the run is gone."""
        text = json.dumps(asdict(pack), indent=2)
        path = self.path / f"{pack.pack}.json"
        write_atomically(path, lambda temporary: temporary.write_text(text), within=self.path.parent)

    def clear(self, pack: str) -> None:
        """Forget a pack's record, if there is one: it was trained after all."""
        (self.path / f"{pack}.json").unlink(missing_ok=True)

    def packs(self) -> list[QuarantinedPack]:
        """Return the recorded packs by name. Raises UserError naming the file when one is broken."""
        records: list[Place] = [*self.path.glob("[!_.]*.json")]
        return [self._read(path) for path in sorted(records, key=lambda path: path.name)]

    @staticmethod
    def _read(path: Place) -> QuarantinedPack:
        try:
            content = json.loads(path.read_text())
            values = {field.name: content[field.name] for field in fields(QuarantinedPack)}
            return QuarantinedPack(**values | {"networks": tuple(values["networks"])})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{str(path)!r} cannot be read ({error!r}): expected a pack's record") from error


def quarantined_sentence(packs: Iterable[QuarantinedPack]) -> str:
    """Names of the packs and why the first of them failed, as people read it; at least one pack."""
    every = sorted(packs, key=lambda quarantined: quarantined.pack)
    names = some_of([quarantined.pack for quarantined in every])
    other = len({quarantined.cause for quarantined in every}) - 1
    others = f"; {other} other cause{'s' if other > 1 else ''}" if other else ""
    return f"{'packs' if len(every) > 1 else 'pack'} {names} quarantined: {every[0].cause}{others}"


def incomplete(packs: Sequence[QuarantinedPack], networks: int) -> str:
    """Return the sentence about a study that was completed without some of its packs."""
    missing = sum(len(pack.networks) for pack in packs)
    return f"completed without {missing} of {networks} networks: {quarantined_sentence(packs)}"
