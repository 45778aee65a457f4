"""What a series of nights has measured, night by night."""

import dataclasses
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from aelle_core.evaluation import Summary
from aelle_core.files.atomic import write_atomically
from aelle_core.files.places import arrow_file
from aelle_core.study import RunDirectory

_SCHEMA = pa.schema(
    [
        pa.field("night", pa.string(), nullable=False),
        pa.field("networks", pa.int64(), nullable=False),
        *(pa.field(name, pa.string(), nullable=False) for name in ("classifier", "kind")),
        pa.field("epoch", pa.int32(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        *(pa.field(name, pa.float64()) for name in ("mean", "low", "high")),
    ]
)


class History:
    """The metrics that each night of a series ended with, in a Parquet file (history.parquet) of the series' directory.

    A row is a metric of a classifier, or of the night's own networks, after one epoch: its mean with the 95 % interval,
    and how many networks all nights had together until then. The file is replaced whole; one night writes at a time.
    """

    def __init__(self, run: RunDirectory) -> None:
        self.path = run.path / "history.parquet"

    def table(self) -> pa.Table:
        """Return all rows, night after night."""
        if not self.path.exists():
            return _SCHEMA.empty_table()
        path, filesystem = arrow_file(self.path)
        return pq.read_table(path, filesystem=filesystem, schema=_SCHEMA).sort_by("night")

    def add(self, night: str, networks: int, summaries: Sequence[Summary]) -> None:
        """Store a night's metrics, replacing earlier ones of that night."""
        rows = [{"night": night, "networks": networks} | dataclasses.asdict(summary) for summary in summaries]
        earlier = [row for row in self.table().to_pylist() if row["night"] != night]
        table = pa.Table.from_pylist(earlier + rows, schema=_SCHEMA)
        write_atomically(self.path, lambda temporary: pq.write_table(table, temporary))

    def before(self, night: str) -> str | None:
        """Return the last night before that one; None when there was none."""
        return max((known for known in self.table()["night"].to_pylist() if known < night), default=None)

    def of(self, night: str) -> list[Summary]:
        """Return a night's metrics."""
        names = [field.name for field in dataclasses.fields(Summary)]
        return [
            Summary(**{name: row[name] for name in names}) for row in self.table().to_pylist() if row["night"] == night
        ]
