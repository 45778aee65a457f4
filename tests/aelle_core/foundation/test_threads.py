"""Threads of our own, alone and in training: whatever their number, the numbers stay."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
import torch

from aelle_core.cells import get_cell
from aelle_core.foundation.threads import one_torch_thread, own_threads
from aelle_core.tasks import get_task
from aelle_core.training import NetworkSettings, PackTrainer

TASK = get_task("digits")


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def four_threads() -> Iterator[None]:
    with torch_threads(4):
        yield


@pytest.mark.parametrize("first_out", [0, 1])
def test_overlapping_calls_give_the_threads_back(first_out: int, four_threads: None) -> None:
    leave = [threading.Event(), threading.Event()]
    inside = [threading.Event(), threading.Event()]
    threads_seen: dict[int, list[int]] = {0: [], 1: []}

    def call(index: int) -> None:
        with one_torch_thread() as threads:
            threads_seen[index] += [threads, torch.get_num_threads()]
            inside[index].set()
            leave[index].wait(60)
            threads_seen[index].append(torch.get_num_threads())
        threads_seen[index].append(torch.get_num_threads())

    calls = [threading.Thread(target=call, args=(index,)) for index in range(2)]
    for index, thread in enumerate(calls):
        thread.start()
        assert inside[index].wait(60)
    for index in (first_out, 1 - first_out):
        leave[index].set()
        calls[index].join(60)
    assert threads_seen == {0: [4, 1, 1, 4], 1: [4, 1, 1, 4]}
    assert torch.get_num_threads() == 4
    later: list[int] = []
    newcomer = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    newcomer.start()
    newcomer.join(60)
    assert later == [4]


def test_a_call_within_a_call_leaves_one_thread(four_threads: None) -> None:
    with one_torch_thread() as outer:
        with one_torch_thread() as inner:
            assert (outer, inner) == (4, 4)
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 4


def test_threads_work_side_by_side_and_torch_has_one_in_each(four_threads: None) -> None:
    """They meet at a barrier, which a single thread would never pass."""
    barrier = threading.Barrier(3)

    def work(index: int) -> tuple[int, int, int]:
        barrier.wait(60)
        return index, threading.get_ident(), torch.get_num_threads()

    with own_threads(3) as threads:
        indices, identities, counts = zip(*threads.run([partial(work, index) for index in range(3)]), strict=True)
    assert indices == (0, 1, 2)
    assert len({*identities, threading.get_ident()}) == 4
    assert counts == (1, 1, 1)
    assert torch.get_num_threads() == 4


def test_the_first_error_comes_out_when_all_have_ended() -> None:
    ended = threading.Event()

    def fail() -> None:
        raise KeyError("first")

    def end() -> None:
        threading.Event().wait(0.2)
        ended.set()

    with own_threads(2) as threads:
        with pytest.raises(KeyError, match="first"):
            threads.run([fail, end])
        assert ended.is_set()


@pytest.mark.parametrize("count", [1, 2])
def test_iterators_go_on_in_step_and_must_end_together(count: int) -> None:
    with own_threads(count) as threads:
        assert list(threads.in_step([iter([1, 2]), iter([3, 4])])) == [[1, 3], [2, 4]]
        with pytest.raises(RuntimeError, match="1 of 2 went on"):
            list(threads.in_step([iter([1, 2]), iter([3])]))


def trained(way: str, threads: int, name: str = "noisy") -> PackTrainer:
    """Five networks after two epochs, the third of which diverges: no share of theirs is like another's."""
    settings = [NetworkSettings(seed, 0.2, 1e38 if seed == 2 else 3e-3) for seed in range(5)]
    pack = PackTrainer(get_cell(name, TASK.input_size, 8), TASK, settings, way=way)
    with torch_threads(threads):
        list(pack.run(2))
    return pack


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_training_on_threads_gives_the_same_numbers(threads: int) -> None:
    single, several = trained("compiled", 1), trained("compiled", threads)
    assert single.optimiser.steps == several.optimiser.steps == 34
    assert single.optimiser.alive.tolist() == several.optimiser.alive.tolist() == [True, True, False, True, True]
    for name, value in single.state().items():
        if value.is_floating_point():
            value, other = value[single.optimiser.alive], several.state()[name][single.optimiser.alive]
            torch.testing.assert_close(other, value, rtol=1e-4, atol=1e-6)
    for loss, other in zip(single.test(), several.test(), strict=True):
        torch.testing.assert_close(other[single.optimiser.alive], loss[single.optimiser.alive], rtol=1e-5, atol=1e-6)


def test_when_memory_runs_out_on_one_thread_all_go_back_and_the_pack_is_halved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = [NetworkSettings(seed, 0.2, 3e-3) for seed in range(4)]
    cell = get_cell("rnn", TASK.input_size, 8)
    alone, pack = (PackTrainer(cell, TASK, settings, way="compiled") for _ in range(2))
    expected = alone.train_epoch()
    with torch_threads(2):
        shares = pack._shares(slice(0, 4))
    assert [share for share, _ in shares] == [slice(0, 2), slice(2, 4)]
    way = shares[1][1]
    losses = way.losses

    def greedy(parameters: dict[str, torch.Tensor], *others: object) -> torch.Tensor:
        if len(next(iter(parameters.values()))) > 1 and pack.optimiser.steps > 5:
            torch.empty(2**48)
        return losses(parameters, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(way, "losses", greedy)
    with torch_threads(2):
        torch.testing.assert_close(pack.train_epoch(), expected, rtol=1e-5, atol=1e-6)
    assert pack.networks_at_once == 2
