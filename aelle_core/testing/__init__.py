"""The contracts that cells and tasks keep, for this project's and for yours: one line in a test.

from aelle_core.testing import check_cell

def test_my_cell():
    check_cell(MyCell)
"""

from aelle_core.testing.cell_contract import CELL_CHECKS, check_cell, pack_of, random_step
from aelle_core.testing.contract import ContractError
from aelle_core.testing.task_contract import TASK_CHECKS, check_task
from aelle_core.testing.way_contract import check_way

__all__ = [
    "CELL_CHECKS",
    "TASK_CHECKS",
    "ContractError",
    "check_cell",
    "check_task",
    "check_way",
    "pack_of",
    "random_step",
]
