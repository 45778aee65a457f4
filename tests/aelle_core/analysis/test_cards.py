"""The cards of what ships say what the files beside them hold."""

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from aelle_core import pretrained
from aelle_core.analysis.shipped.cards import CARDS, cards_of
from aelle_core.analysis.shipped.croissant import COLUMNS
from aelle_core.pretrained import manifest
from aelle_core.store.schema import SCHEMA

HOME = Path(pretrained.__file__).parent
NAMES = sorted(manifest())


@pytest.mark.parametrize("name", NAMES)
def test_cards_are_those_of_the_files(name: str) -> None:
    for file, text in cards_of(name).items():
        assert (HOME / file).read_text() == text, "expected `python -m aelle_core.analysis.shipped` after a change"


def test_no_card_is_of_something_else() -> None:
    cards = {path.name for end in CARDS for path in HOME.glob(f"*.{end}")}
    assert cards == {f"{name}.{end}" for name in NAMES for end in CARDS}


@pytest.mark.parametrize("name", NAMES)
def test_front_matter_is_yaml_and_the_numbers_are_the_data_s(name: str) -> None:
    rows = pq.read_table(HOME / f"{name}.parquet").to_pylist()
    _, front, body = (HOME / f"{name}.dataset.md").read_text().split("---\n", 2)
    fields = yaml.safe_load(front)
    assert fields["license"] == "mit"
    assert fields["configs"] == [{"config_name": "default", "data_files": f"{name}.parquet"}]
    (category,) = fields["size_categories"]
    low, high = {"1K<n<10K": (1000, 10_000), "10K<n<100K": (10_000, 100_000)}[category]
    assert low <= len(rows) < high
    diverged = sum(row["status"] == "diverged" for row in rows)
    assert f"Rows: {len(rows)}, of which {diverged} have the status" in body
    described = set(re.findall(r"^\| `(\w+)` ", body, re.MULTILINE))
    assert described == set(rows[0])
    _, front, body = (HOME / f"{name}.model.md").read_text().split("---\n", 2)
    assert yaml.safe_load(front)["datasets"] == [f"aelle-{name.replace('_', '-')}"]
    assert f"| cell and hyperparameters | {0}" in body


def test_every_column_of_the_store_is_described() -> None:
    assert set(COLUMNS) == set(SCHEMA.names)
