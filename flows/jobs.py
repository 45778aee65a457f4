"""Make flows: one for each job, and the same flow behind a form."""

from collections.abc import Callable
from typing import Any, ParamSpec

from prefect import Flow, flow
from prefect.states import Completed, State
from prefect.task_runners import ThreadPoolTaskRunner

from aelle_core.study import RunDirectory
from aelle_core.study.quarantine import incomplete
from flows.mistakes import fails_in_one_sentence
from flows.processes.stale_runs import WATCHED, record_process
from flows.progress.published import publishes_progress

P = ParamSpec("P")

COHORTS_AT_ONCE = 16
_RUNNER: Any = ThreadPoolTaskRunner(max_workers=COHORTS_AT_ONCE)


def job(name: str) -> Callable[[Callable[P, Any]], Flow[P, Any]]:
    """Make a flow of the decorated function. It ends in one sentence, and what it runs belongs to its own run."""

    def made(function: Callable[P, Any]) -> Flow[P, Any]:
        body = fails_in_one_sentence(publishes_progress(function))
        return flow(name=name, task_runner=_RUNNER, persist_result=False, on_running=[record_process])(body)

    return made


def form_of(job: Flow[..., Any]) -> Callable[[Callable[P, Any]], Flow[P, Any]]:
    """Make the decorated function a form of a job: the flow of the same name, started with a form's fields.

    The function translates the fields and returns what `job.fn` makes of them, so that the run that a person starts is
    the job itself. What a killed process leaves under way is closed with its run.
    """

    def made(form: Callable[P, Any]) -> Flow[P, Any]:
        body = fails_in_one_sentence(form)
        return flow(name=job.name, task_runner=_RUNNER, persist_result=False, **WATCHED)(body)

    return made


def completed(run: RunDirectory, result: str, sentence: str) -> State[Any]:
    """Return the state that a job ends in: `result`, with a message that names quarantined packs and ends with
    `sentence`."""
    given_up = run.quarantine.packs()
    missing = [incomplete(given_up, run.study().total_networks)] if given_up else []
    return Completed(message="; ".join([*missing, sentence]), data=result)
