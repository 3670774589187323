"""A forward that is alone has all processors, and has them no longer once others come."""

from contextlib import ExitStack

import pytest

from app.serving.intra_op_threads import CALM_SECONDS, MIN_COST, IntraOpThreads
from tests.fakes.clock import Clock

LONG, SHORT = 200, MIN_COST - 1


@pytest.fixture
def clock() -> Clock:
    return Clock(100.0)


@pytest.fixture
def shared(clock: Clock) -> IntraOpThreads:
    return IntraOpThreads(1, 4, clock=clock)


def width(shared: IntraOpThreads, tokens: int = LONG, *, others_wait: bool = False) -> int:
    with shared.of(tokens, others_wait=others_wait) as threads:
        return threads


def test_alone_it_is_wide_from_a_few_tokens_on(shared: IntraOpThreads) -> None:
    assert [width(shared), width(shared), width(shared, SHORT), width(shared, MIN_COST)] == [4, 4, 1, 4]


def test_beside_another_it_is_not_and_neither_is_who_comes_soon_after(shared: IntraOpThreads, clock: Clock) -> None:
    with ExitStack() as stack:
        assert stack.enter_context(shared.of(LONG, others_wait=False)) == 4
        assert stack.enter_context(shared.of(LONG, others_wait=False)) == 1
    assert width(shared) == 1
    clock.now += CALM_SECONDS / 2
    assert width(shared) == 1
    clock.now += CALM_SECONDS / 2
    assert width(shared) == 4


def test_it_is_not_while_others_wait(shared: IntraOpThreads, clock: Clock) -> None:
    assert width(shared, others_wait=True) == 1
    clock.now += CALM_SECONDS
    assert width(shared) == 4


def test_a_forward_that_fails_runs_no_longer(shared: IntraOpThreads) -> None:
    with pytest.raises(RuntimeError), shared.of(LONG, others_wait=False):
        raise RuntimeError
    assert width(shared) == 4
