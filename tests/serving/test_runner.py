import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
import torch

from app import devices
from app.errors import AppError, InvalidData, NotReady, TooLarge
from app.serving.batches import Entry
from app.serving.runner import Runner
from app.serving.served_task import ServedTask
from app.types import Task
from tests.fakes.loader import WAIT
from tests.fakes.objective import Embed, EmbedItem, FakeObjective

MakeRunner = Callable[..., Runner]


class Recorder:
    def __init__(self) -> None:
        self.batches: list[tuple[str, Task, int, int]] = []

    def on_batch(self, model: str, task: Task, device: str, *, size: int, tokens: int, seconds: float) -> None:
        assert seconds > 0
        self.batches.append((model, task, size, tokens))

    def on_load(self, model: str, seconds: float) -> None:
        raise AssertionError("a runner loads nothing")


class Caller:
    """Puts texts before a runner as one task of a model."""

    def __init__(self, runner: Runner, fake: FakeObjective, model: str = "fake@1") -> None:
        self.runner = runner
        self.handler = fake.tasks[Task.EMBED]
        self.served = ServedTask(model, Task.EMBED, {runner: (self.handler,)})

    def put(self, texts: Sequence[str]) -> list[Future[Any]]:
        futures = self.runner.batcher.admit(len(texts))
        prepared = [self.handler.prepare(EmbedItem(text)) for text in texts]
        self.runner.batcher.put(
            [Entry(p.inputs, p.cost, self.served, f) for p, f in zip(prepared, futures, strict=True)]
        )
        return futures


def busy(runner: Runner, fake: FakeObjective, caller: Caller) -> list[Future[Any]]:
    """A first input that the device runs, and a second that is taken in advance, until the gate opens."""
    fake.gate.clear()
    futures = []
    for text in ("first", "second"):
        futures += caller.put([text])
        assert fake.collated.acquire(timeout=WAIT)
    assert fake.started.acquire(timeout=WAIT)
    return futures


def sentence(length: int) -> str:
    return " ".join(f"w{i}" for i in range(length))


def results(futures: Sequence[Future[Any]]) -> list[Any]:
    return [future.result(WAIT) for future in futures]


def test_batched_answers_equal_single_answers(make_runner: MakeRunner):
    lengths = (5, 3, 4, 5, 3)
    fake = FakeObjective()
    runner = make_runner(start=False)
    caller = Caller(runner, fake)
    together = caller.put([sentence(n) for n in lengths])
    runner.start()
    for n, batched in zip(lengths, results(together), strict=True):
        (single,) = results(caller.put([sentence(n)]))
        np.testing.assert_array_equal(batched[:n], single)
    assert fake.batches == [5, 1, 1, 1, 1, 1]


def test_exactly_one_batch_is_taken_while_another_runs(runner: Runner):
    fake = FakeObjective()
    caller = Caller(runner, fake)
    futures = busy(runner, fake, caller)
    rest = caller.put(["third"]) + caller.put(["fourth"])
    assert runner.batcher.waiting == 2
    assert not futures[0].done()
    fake.gate.set()
    results(futures + rest)
    assert fake.batches == [1, 1, 2]


def test_forwards_run_beside_each_other_each_on_its_replica(make_runner: MakeRunner) -> None:
    fake = FakeObjective()
    runner = make_runner(forwards=2, ahead=None)
    caller = Caller(runner, fake)
    ran: list[int] = []

    class Replica(Embed):
        def __init__(self, number: int) -> None:
            super().__init__(fake)
            self.number = number

        def run(self, collated: torch.Tensor) -> Any:
            ran.append(self.number)
            return super().run(collated)

    caller.served = ServedTask("fake@1", Task.EMBED, {runner: (Replica(0), Replica(1))})
    fake.gate.clear()
    futures = []
    for text in ("first", "second"):
        futures += caller.put([text])
        assert fake.started.acquire(timeout=WAIT)
    assert sorted(ran) == [0, 1]
    futures += caller.put(["third"])  # nothing is ready to start before one has ended: others may still join it
    futures += caller.put(["fourth"])
    assert runner.batcher.waiting == 2
    fake.gate.set()
    results(futures)
    assert sorted(fake.batches) == [1, 1, 2]


def test_a_forward_that_is_alone_has_all_threads(make_runner: MakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "cpu_count", lambda: 2)
    fake = FakeObjective()
    runner = make_runner(forwards=2, threads=None, ahead=None)
    caller = Caller(runner, fake)
    ran: list[int] = []

    class Noted(Embed):
        def run(self, collated: torch.Tensor) -> Any:
            ran.append(torch.get_num_threads())
            return super().run(collated)

    caller.served = ServedTask("fake@1", Task.EMBED, {runner: (Noted(fake), Noted(fake))})
    results(caller.put(["long " * 50]))
    assert fake.started.acquire(timeout=WAIT)
    fake.gate.clear()
    futures = []
    for _ in range(2):
        futures += caller.put(["long " * 50])
        assert fake.started.acquire(timeout=WAIT)
    fake.gate.set()
    results(futures)
    assert ran == [2, 2, 1]  # the last has begun beside another


def test_one_of_two_inference_threads_may_die(make_runner: MakeRunner) -> None:
    fake = FakeObjective()
    runner = make_runner(forwards=2, ahead=None, wait=lambda seconds: False)
    caller = Caller(runner, fake)
    caller.served = ServedTask("fake@1", Task.EMBED, {runner: (caller.handler, caller.handler)})
    fake.errors.append(SystemExit())
    (victim,) = caller.put(["a"])
    assert isinstance(victim.exception(WAIT), AppError)
    results(caller.put(["b"]))
    deadline = time.monotonic() + WAIT
    while not (runner.restarts == 1 and runner.alive):
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)
    fake.gate.clear()  # both run again
    for text in ("c", "d"):
        while fake.started.acquire(blocking=False):
            pass
        caller.put([text])
        assert fake.started.acquire(timeout=WAIT)
    fake.gate.set()
    runner.stop()
    assert runner.batcher.in_use == 0


def test_a_failing_batch_fails_only_its_own_waiters(runner: Runner, caplog: pytest.LogCaptureFixture):
    fake, other = FakeObjective(), FakeObjective()
    caller, neighbour = Caller(runner, fake), Caller(runner, other, "other@1")
    running = busy(runner, fake, caller)
    unlucky = caller.put(["a", "b", "c"])
    fine = neighbour.put(["d"])
    fake.errors.extend(ValueError("secret") for _ in range(3))
    fake.gate.set()
    errors = [future.exception(WAIT) for future in running + unlucky]
    assert all(type(error) is AppError and "secret" not in error.message for error in errors)
    assert len({id(error) for error in errors}) == len(errors)  # safe to raise in several tasks
    assert "secret" in caplog.text
    results(fine + caller.put(["again"]))
    assert runner.alive
    assert runner.restarts == 0
    assert runner.batcher.in_use == 0


def test_an_error_of_ours_reaches_every_waiter_as_it_is(runner: Runner):
    fake = FakeObjective()
    fake.errors.append(InvalidData("not finite", param="input"))
    (future,) = Caller(runner, fake).put(["a"])
    error = future.exception(WAIT)
    assert isinstance(error, InvalidData)
    assert (error.message, error.param) == ("not finite", "input")


def test_a_failing_collate_fails_its_batch_and_the_feeding_goes_on(runner: Runner):
    caller = Caller(runner, FakeObjective())
    original = caller.handler.collate
    caller.handler.collate = lambda batch: 1 / 0
    assert isinstance(caller.put(["a"])[0].exception(WAIT), AppError)
    caller.handler.collate = original
    results(caller.put(["b"]))


def test_results_of_the_wrong_number_are_an_error(runner: Runner):
    caller = Caller(runner, FakeObjective())
    caller.handler.run = lambda collated: []
    assert isinstance(caller.put(["a"])[0].exception(WAIT), AppError)


@pytest.mark.parametrize(
    "oom",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: out of memory"),
        MemoryError(),
    ],
)
def test_a_batch_too_large_for_memory_is_split_and_the_budget_shrinks(make_runner: MakeRunner, oom: Exception):
    observer = Recorder()
    runner = make_runner(start=False, max_batch_tokens=1000, observer=observer)
    fake = FakeObjective()
    fake.oom, fake.memory = oom, 20
    many = Caller(runner, fake).put([sentence(5)] * 16)
    runner.start()
    results(many)
    assert fake.batches == [16, 8, 4, 4, 8, 4, 4]
    assert runner.budget == 20
    assert observer.batches == [("fake@1", Task.EMBED, 4, 20)] * 4
    assert runner.alive


def test_one_input_too_large_for_memory_fails_alone(make_runner: MakeRunner):
    runner = make_runner(start=False)
    fake = FakeObjective()
    fake.memory = 20
    small, large = Caller(runner, fake).put([sentence(18), sentence(30)])
    runner.start()
    results([small])
    error = large.exception(WAIT)
    assert isinstance(error, TooLarge)
    assert "30 tokens" in error.message
    assert runner.batcher.in_use == 0


def test_a_dead_inference_thread_turns_red_and_is_restarted(make_runner: MakeRunner):
    died, restart = threading.Event(), threading.Event()

    def wait(seconds: float) -> bool:
        died.set()
        return not restart.wait(WAIT)

    runner = make_runner(wait=wait)
    fake = FakeObjective()
    caller = Caller(runner, fake)
    assert runner.alive
    fake.errors.append(SystemExit("gone"))
    (victim,) = caller.put(["a"])
    assert isinstance(victim.exception(WAIT), AppError)
    assert died.wait(WAIT)
    assert not runner.alive
    patient = caller.put(["b"])
    restart.set()
    results(patient)
    assert runner.alive
    assert runner.restarts == 1
    assert runner.batcher.in_use == 0


def test_a_dead_feeding_thread_fails_what_it_held_and_is_restarted(make_runner: MakeRunner):
    died = threading.Event()

    def wait(seconds: float) -> bool:
        died.set()
        return False

    def die(batch: Any) -> Any:
        raise SystemExit

    runner = make_runner(wait=wait)
    caller = Caller(runner, FakeObjective())
    original = caller.handler.collate
    caller.handler.collate = die
    assert isinstance(caller.put(["a"])[0].exception(WAIT), AppError)
    caller.handler.collate = original
    assert died.wait(WAIT)
    results(caller.put(["b"]))
    assert runner.restarts == 1


def test_stop_answers_what_was_taken_and_refuses_the_rest(runner: Runner):
    fake = FakeObjective()
    caller = Caller(runner, fake)
    taken = busy(runner, fake, caller)
    waiting = caller.put(["third"])
    stopping = threading.Thread(target=runner.stop)
    stopping.start()
    assert isinstance(waiting[0].exception(WAIT), NotReady)
    fake.gate.set()
    results(taken)
    stopping.join(WAIT)
    assert not stopping.is_alive()
    assert not runner.alive
    assert runner.batcher.in_use == 0


def test_stop_with_a_dead_inference_thread_refuses_what_was_taken_in_advance(make_runner: MakeRunner):
    died, stopped = threading.Event(), threading.Event()

    def wait(seconds: float) -> bool:
        died.set()
        return stopped.wait(WAIT)

    runner = make_runner(wait=wait)
    fake = FakeObjective()
    caller = Caller(runner, fake)
    fake.errors.append(SystemExit())
    victim, taken = busy(runner, fake, caller)
    fake.gate.set()
    assert isinstance(victim.exception(WAIT), AppError)
    assert died.wait(WAIT)
    waiting = caller.put(["third"])
    stopped.set()
    runner.stop()
    assert all(isinstance(future.exception(WAIT), NotReady) for future in [taken, *waiting])


def test_the_handler_runs_without_gradients(runner: Runner):
    class Probe(Embed):
        def run(self, collated: torch.Tensor) -> Any:
            return [torch.is_inference_mode_enabled()] * len(collated)

    fake = FakeObjective()
    fake.tasks[Task.EMBED] = Probe(fake)
    assert results(Caller(runner, fake).put(["a"])) == [True]
