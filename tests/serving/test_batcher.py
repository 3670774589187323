import math
import random
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from app.errors import Busy, NotReady, TooLarge
from app.serving.batcher import Batcher
from app.serving.batches import Batch, Entry, Flow, fill
from tests.fakes.clock import Clock

PATIENCE = 20.0  # seconds


def put(
    batcher: Batcher[str], *costs: int, key: str = "g", flow: Flow | None = None, padded: bool = True
) -> list[Future[Any]]:
    futures = batcher.admit(len(costs))
    batcher.put([Entry(cost, cost, key, future, padded) for cost, future in zip(costs, futures, strict=True)], flow)
    return futures


class Device:
    """A taker of some keys, or of all."""

    def __init__(self, budget: int, *, shares: int = 1, keys: str | None = None) -> None:
        self.budget, self.busy = budget, False
        self._shares, self._keys = shares, keys

    def shares(self, key: str) -> int:
        return self._shares if self._keys is None or key in self._keys else 0


def take(batcher: Batcher[str]) -> Batch[str]:
    batch = batcher.next_batch(device_of(batcher), timeout=0)
    assert batch is not None
    return batch


def device_of(batcher: Batcher[str]) -> Device:
    return Device(batcher.max_tokens, shares=batcher.shares)


def costs(batch: Batch[str]) -> list[int]:
    return [entry.cost for entry in batch.entries]


def finish(batch: Batch[str]) -> None:
    for entry in batch.entries:
        entry.future.set_result(entry.inputs)


# What shares a batch


def test_takes_all_that_waits_when_it_fits_shortest_first():
    batcher = Batcher[str](100, 100)
    put(batcher, 6, 4, 5)
    batch = take(batcher)
    assert costs(batch) == [4, 5, 6]
    assert (batch.tokens, batch.padded) == (15, 18)
    assert batcher.next_batch(device_of(batcher), timeout=0) is None


def test_the_budget_counts_padding():
    assert fill([10, 10, 10, 10], 30) == [2, 1, 0]
    assert fill([10, 6, 9, 8], 30) == [3, 2, 0]  # 3 × 10 tokens; the nearest in length go along


def test_of_several_at_once_each_takes_its_share_unless_it_is_small():
    batcher = Batcher[str](1000, 100, shares=2)
    put(batcher, *[50] * 8)
    assert [len(take(batcher).entries) for _ in range(3)] == [4, 2, 2]
    put(batcher, *[700] * 4)
    assert [len(take(batcher).entries) for _ in range(4)] == [1, 1, 1, 1]


def test_who_waits_is_told_of_what_another_has_left():
    batcher = Batcher[str](1000, 100, shares=2)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(batcher.next_batch, device_of(batcher), PATIENCE) for _ in range(2)]
        put(batcher, *[100] * 8)  # one call wakes one thread
        taken = [each.result() for each in waiting]
    assert sorted(len(batch.entries) for batch in taken if batch is not None) == [2, 4]


def test_a_device_takes_the_keys_that_it_has_in_their_turn():
    batcher = Batcher[str](1000, 100, shares=2)
    for key in "abcb":
        put(batcher, 5, key=key)
    first, second = Device(1000, keys="bc"), Device(1000, keys="a")
    keys = [batch.key if (batch := batcher.next_batch(device, 0)) else None for device in (first, first, first, second)]
    assert keys == ["b", "c", None, "a"]


def test_an_entry_larger_than_the_budget_runs_alone():
    batcher = Batcher[str](10, 100)
    put(batcher, 50, 5, 5)
    assert [costs(take(batcher)) for _ in range(2)] == [[50], [5, 5]]


def test_at_most_half_of_a_batch_is_padding():
    assert fill([100, 1, 1, 1], 10_000) == [1, 0]
    assert fill([1, 1, 100], 10_000) == [1, 0]
    assert fill([100, 60, 40], 10_000) == [2, 1, 0]


def test_longer_entries_fill_what_shorter_ones_leave():
    assert fill([5, 4, 6, 7], 21) == [1, 0, 2]


def test_groups_never_mix_and_the_oldest_entry_goes_first():
    batcher = Batcher[str](100, 100)
    put(batcher, 1, key="a")
    put(batcher, 2, key="b")
    put(batcher, 1, key="a")
    assert [(b.key, costs(b)) for b in (take(batcher), take(batcher))] == [("a", [1, 1]), ("b", [2])]


@pytest.mark.parametrize("seed", range(20))
def test_every_batch_keeps_the_rules(seed: int):
    rng = random.Random(seed)
    budget = rng.randint(1, 200)
    batcher, flow = Batcher[str](budget, 10_000), Flow()
    waiting: list[tuple[int, str, Future[Any]]] = []  # oldest first
    for _ in range(200):
        if rng.random() < 0.6:
            group = rng.choice("abc")
            sizes = [rng.randint(1, 60) for _ in range(rng.randint(1, 8))]
            waiting += [(c, group, f) for c, f in zip(sizes, put(batcher, *sizes, key=group, flow=flow), strict=True)]
        elif waiting and rng.random() < 0.3:
            waiting.pop(rng.randrange(len(waiting)))[2].cancel()
        elif waiting:
            batch = take(batcher)
            taken = {entry.future for entry in batch.entries}
            assert waiting[0][2] in taken  # so none starves
            assert {group for _, group, f in waiting if f in taken} == {batch.key}
            assert costs(batch) == sorted(costs(batch))
            assert len(taken) == 1 or batch.padded <= min(budget, 2 * batch.tokens)
            waiting = [each for each in waiting if each[2] not in taken]
            finish(batch)
        assert batcher.waiting == batcher.in_use == len(waiting)


def test_a_flood_of_one_group_does_not_starve_another():
    batcher = Batcher[str](10, 1000)
    put(batcher, *[5] * 20, key="flood")
    rare = put(batcher, 5, key="rare")[0]
    for _ in range(11):
        put(batcher, *[5] * 4, key="flood")
        finish(take(batcher))
    assert rare.done()


# Admission


def test_admits_all_inputs_of_a_request_or_none():
    batcher = Batcher[str](100, 10)
    held = batcher.admit(7)
    with pytest.raises(Busy):
        batcher.admit(4)
    assert batcher.in_use == 7
    batcher.admit(3)
    held[0].cancel()
    batcher.admit(1)
    assert batcher.in_use == 10


def test_a_request_that_never_fits_is_too_large_rather_than_busy():
    with pytest.raises(TooLarge):
        Batcher[str](100, 10).admit(11)


def test_permits_return_however_an_input_ends():
    batcher = Batcher[str](100, 3)
    result, error, cancelled = put(batcher, 1, 1, 1)
    cancelled.cancel()
    first, second = take(batcher).entries
    assert {first.future, second.future} == {result, error}
    assert batcher.in_use == 2
    result.set_result(None)
    error.set_exception(ValueError())
    assert batcher.in_use == 0


@pytest.mark.parametrize(("chance", "longer"), [(0.0, 1.0), (0.5, 1.25)])
def test_retry_after_is_what_waits_by_the_recent_rate(chance: float, longer: float):
    clock = Clock()
    batcher = Batcher[str](100, 4, clock=clock, chance=lambda: chance)

    def retry_after(count: int) -> int:
        with pytest.raises(Busy) as busy:
            batcher.admit(count)
        return busy.value.retry_after

    first = batcher.admit(4)
    assert retry_after(4) == math.ceil(longer)  # nothing is known yet
    for future in first[:2]:
        clock.now += 3  # one input every three seconds
        future.cancel()
    batcher.admit(2)
    clock.now += 3
    assert retry_after(1) == retry_after(4) == 12 * longer
    clock.now += 100
    assert retry_after(4) == math.ceil(longer)  # too long ago to tell


def test_a_full_queue_is_told_before_anything_is_asked_for():
    batcher = Batcher[str](100, 2)
    (held, _) = batcher.admit(2)
    assert isinstance(batcher.refusal(0), Busy)
    held.cancel()
    assert batcher.refusal(1) is None
    assert isinstance(batcher.refusal(2), Busy)


# Turns


def test_who_comes_goes_before_the_rest_of_a_long_request():
    batcher = Batcher[str](1000, 1000)
    put(batcher, *[250] * 20, padded=False)
    assert costs(take(batcher)) == [250] * 4
    put(batcher, 7, padded=False)
    assert costs(take(batcher)) == [7]  # alone: the others' turn comes far later
    assert costs(take(batcher)) == [250, 250]


def test_small_requests_share_a_batch():
    batcher = Batcher[str](100, 1000)
    for cost in (7, 8, 9):
        put(batcher, cost)
    assert costs(take(batcher)) == [7, 8, 9]


def test_a_flow_fills_no_long_batches_beside_another_one():
    clock = Clock()
    batcher = Batcher[str](4096, 1000, clock=clock)
    bulk = Flow()
    put(batcher, *[256] * 64, flow=bulk, padded=False)
    assert take(batcher).tokens == 4096  # alone
    (one,) = put(batcher, 10, padded=False)
    batch = take(batcher)
    assert costs(batch) == [10]
    finish(batch)
    assert one.done()
    assert take(batcher).tokens == 512
    clock.now += 1
    assert take(batcher).tokens == 512  # others are likely to come soon
    clock.now += 2
    assert take(batcher).tokens == 4096


def test_requests_one_after_another_are_alone():
    batcher = Batcher[str](4096, 1000)
    for _ in range(3):
        put(batcher, *[256] * 16, padded=False)
        batch = take(batcher)
        assert batch.tokens == 4096
        finish(batch)


def test_a_long_request_is_not_starved_by_those_that_come():
    batcher = Batcher[str](500, 1000)
    bulk, others = put(batcher, *[500] * 4, padded=False), 0
    while not all(future.done() for future in bulk):
        put(batcher, 100, padded=False)
        others += 1
        finish(take(batcher))
    assert others <= 25  # 2,000 tokens each, and a few


def test_parts_of_one_flow_share_its_turns():
    batcher, stream = Batcher[str](500, 1000), Flow()
    for _ in range(4):
        put(batcher, 500, flow=stream)
    put(batcher, 300)
    assert [costs(take(batcher)) for _ in range(2)] == [[500], [300]]


# Leaving and closing


def test_cancelled_entries_leave_the_queue_at_once():
    batcher = Batcher[str](100, 100)
    gone, kept = put(batcher, 1, 2)
    gone.cancel()
    assert batcher.waiting == 1
    batch = take(batcher)
    assert [entry.future for entry in batch.entries] == [kept]
    assert not kept.cancel()  # it runs


def test_an_entry_cancelled_while_it_is_prepared_never_waits():
    batcher = Batcher[str](100, 100)
    (future,) = batcher.admit(1)
    future.cancel()
    batcher.put([Entry(None, 1, "g", future)])
    assert batcher.waiting == 0
    assert batcher.next_batch(device_of(batcher), timeout=0) is None


def test_next_batch_sleeps_until_something_comes():
    batcher = Batcher[str](100, 100)
    batches: list[Batch[str] | None] = []
    thread = threading.Thread(target=lambda: batches.append(batcher.next_batch(device_of(batcher))))
    thread.start()
    put(batcher, 3)
    thread.join(10)
    assert [costs(batch) for batch in batches if batch] == [[3]]


def test_close_fails_what_waits_and_what_comes_later():
    batcher = Batcher[str](100, 100)
    (late,) = batcher.admit(1)
    (waiting,) = put(batcher, 1)
    batcher.close()
    batcher.put([Entry(None, 1, "g", late)])
    for future in (waiting, late):
        with pytest.raises(NotReady):
            future.result(0)
    with pytest.raises(NotReady):
        batcher.admit(1)
    assert batcher.next_batch(device_of(batcher)) is None
    assert batcher.in_use == 0


def test_what_is_not_padded_shares_a_batch_at_any_length() -> None:
    batcher: Batcher[str] = Batcher(max_tokens=110, max_inputs=100)
    costs = [100, 2, 8, 1]
    futures = batcher.admit(len(costs))
    entries = [Entry(cost, cost, "g", future, padded=False) for cost, future in zip(costs, futures, strict=True)]
    batcher.put(entries)
    batch = take(batcher)
    assert [entry.cost for entry in batch.entries] == [2, 8, 100]
    assert batch.padded == batch.tokens == 110
    assert [entry.cost for entry in take(batcher).entries] == [1]


def test_an_unpadded_entry_beyond_the_budget_runs_alone() -> None:
    batcher: Batcher[str] = Batcher(max_tokens=10, max_inputs=100)
    batcher.put(
        [Entry(cost, cost, "g", future, padded=False) for cost, future in zip([50, 1], batcher.admit(2), strict=True)]
    )
    assert [entry.cost for entry in take(batcher).entries] == [50]
