"""The Croissant metadata of what ships, read by the format's own library."""

import hashlib
from itertools import islice
from pathlib import Path

import mlcroissant
import pyarrow.parquet as pq
import pytest

from aelle_core import pretrained
from aelle_core.pretrained import manifest

HOME = Path(pretrained.__file__).parent


@pytest.mark.parametrize("name", sorted(manifest()))
def test_the_metadata_is_valid_and_names_the_file(name: str) -> None:
    metadata = mlcroissant.Dataset(HOME / f"{name}.croissant.json").metadata
    assert not metadata.issues.errors
    (file,) = metadata.distribution
    assert file.sha256 == hashlib.sha256((HOME / file.content_url).read_bytes()).hexdigest()
    (records,) = metadata.record_sets
    columns = set(pq.read_schema(HOME / file.content_url).names)
    assert {field.name for field in records.fields} == columns - {"hyperparameters"}


def test_records_are_the_rows_of_the_file() -> None:
    rows = pq.read_table(HOME / "target.parquet").to_pylist()
    records = list(islice(mlcroissant.Dataset(HOME / "target.croissant.json").records("networks"), 50))
    assert len(records) == 50
    for record, row in zip(records, rows, strict=False):
        assert record["networks/network"].decode() == row["network"]
        assert record["networks/epoch"] == row["epoch"]
        assert record["networks/train_loss"] == row["train_loss"] or row["train_loss"] is None
