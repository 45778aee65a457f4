"""A report of random networks, shared by the tests of this room."""

import pytest

from aelle_core.report import ReportData
from tests.helpers.reports import random_report


@pytest.fixture(scope="session")
def report() -> ReportData:
    """A report on 60 networks of three cells."""
    return random_report()
