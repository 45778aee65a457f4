"""The contract of tasks: seeded and disjoint splits of the declared shapes, and a statement that says so."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import torch

from aelle_core.tasks import Supervised, Task, tasks
from aelle_core.testing.contract import require
from aelle_core.training import trainers

Make = Callable[[int], Task]
"""Makes the task with a seed."""


def check_task(task: type[Task] | str, options: Mapping[str, Any] | None = None) -> None:
    """Check everything that this project relies on in a task, given by its class or registered name.

    `options` are the task's, such as where its data lie. Raises ContractError, naming what is broken.
    """
    kind = tasks[task] if isinstance(task, str) else task
    require(isinstance(kind, type) and issubclass(kind, Task), f"{kind!r}: expected a subclass of Task")

    def make(seed: int) -> Task:
        return kind(seed=seed, **(options or {}))

    for check in TASK_CHECKS.values():
        check(make)


def _inputs(make: Make) -> None:
    task = make(0)
    require(task.trainer in trainers, f"trainer {task.trainer!r}: expected one of {', '.join(trainers)}")
    inputs, wanted = task.spectrum_inputs(2), (task.steps, task.input_size)
    require(1 <= len(inputs) <= 2, f"spectrum_inputs(2) returns {len(inputs)} sequences: expected one or two")
    given = tuple(inputs.shape[1:])
    require(given == wanted, f"spectrum_inputs returns sequences of shape {given}: expected (steps, features) {wanted}")
    require(inputs.dtype == torch.float32, f"spectrum_inputs returns {inputs.dtype}: expected torch.float32")
    require(inputs.isfinite().all(), "spectrum_inputs returns numbers that are not finite")


def _statement(make: Make) -> None:
    statement = make(0).statement()
    require(json.loads(json.dumps(statement)) == statement, f"statement {statement!r}: expected what JSON can hold")
    require(make(0).statement() == statement, "expected the same statement from the same seed")
    require(make(3).statement()["seed"] == 3, "expected the statement to say the seed")


def _first_validation(make: Make) -> None:
    task = make(0)
    if not isinstance(task, Supervised):
        return
    inputs, validation = task.spectrum_inputs(5), task.splits.validation
    if validation.one_hot:
        one_hot = torch.equal(inputs.sum(dim=-1), torch.ones(inputs.shape[:2]))
        require(one_hot and torch.equal(inputs.argmax(dim=-1), validation.inputs[:5].long()), _NOT_FIRST)
    else:
        require(torch.equal(inputs, validation.inputs[:5]), _NOT_FIRST)


_NOT_FIRST = "expected spectrum_inputs to return the first validation sequences"


def _shapes(make: Make) -> None:
    task = make(0)
    if not isinstance(task, Supervised):
        return
    for name in ("training", "validation", "test"):
        part = getattr(task.splits, name)
        trailing = () if part.one_hot else (task.input_size,)
        wanted = (len(part), task.steps, *trailing)
        given = tuple(part.inputs.shape)
        require(given == wanted, f"{name} inputs have shape {given}: expected {wanted}")
        require(part.one_hot or part.inputs.isfinite().all(), f"{name} inputs are not all finite")
        rows = (len(part), task.steps) if task.readout == "every" else (len(part),)
        wanted = rows if task.loss_kind.classes else (*rows, task.outputs)
        given = tuple(part.targets.shape)
        require(given == wanted, f"{name} targets have shape {given}: expected {wanted}")
        ragged = part.lengths is not None
        require(ragged == task.ragged, f"ragged={task.ragged}: expected lengths in {name} just where sequences differ")
        task.check_examples(part)


def _disjoint(make: Make) -> None:
    task = make(0)
    if not isinstance(task, Supervised):
        return
    seen: dict[bytes, str] = {}
    for name in ("training", "validation", "test"):
        own = {row.tobytes() for row in getattr(task.splits, name).inputs.flatten(1).numpy()}
        for row in own:
            require(row not in seen, f"a sequence is in both {seen.get(row)} and {name}: expected disjoint splits")
        seen |= dict.fromkeys(own, name)


def _own_share(make: Make) -> None:
    task = make(0)
    if not isinstance(task, Supervised):
        return
    first, second = task.own_examples(1), task.own_examples(2)
    wanted = round(task.share * len(task.splits.training))
    require(len(first) == len(second) == task.examples_per_network == wanted, f"expected {wanted} examples a network")
    require(torch.equal(first, task.own_examples(1)), "expected the same examples from the same seed")
    require(torch.equal(first.unique(), first.sort().values), "expected each example at most once")
    same = torch.equal(first.sort().values, second.sort().values)
    require(same == (task.share == 1), "expected other examples for another seed, unless each network sees all")
    order = task.order(1, epoch=1)
    require(torch.equal(order.sort().values, first.sort().values), "expected an epoch to use the network's examples")
    require(not torch.equal(order, task.order(1, epoch=2)), "expected another order in another epoch")


def _seeded_split(make: Make) -> None:
    task = make(0)
    if not isinstance(task, Supervised):
        return
    own, other = (task_of_seed.statement()["splits"]["training"] for task_of_seed in (task, make(1)))
    require(own != other, "expected another seed to split the examples otherwise")


TASK_CHECKS: Mapping[str, Callable[[Make], None]] = {
    "a trainer takes it and spectra have inputs": _inputs,
    "statement is json and says the seed": _statement,
    "spectrum inputs are the first validation sequences": _first_validation,
    "shapes and ranges": _shapes,
    "splits are disjoint": _disjoint,
    "every network trains on its own share": _own_share,
    "seed decides the split": _seeded_split,
}
"""What `check_task` checks: a sentence -> the check, which is given what makes the task with a seed."""
