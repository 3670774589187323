import pytest

from app.training.loop.schedule import learning_rate_factor

SCHEDULES = ["linear", "cosine", "warmup-stable-decay"]


@pytest.mark.parametrize("kind", SCHEDULES)
def test_it_rises_through_the_warmup_and_ends_at_zero(kind: str) -> None:
    at = [learning_rate_factor(p / 100, kind, warmup=0.1, decay=0.2) for p in range(101)]
    assert at[0] == 0.0
    assert at[5] == pytest.approx(0.5)
    assert max(at) == pytest.approx(1.0)
    assert at[100] == pytest.approx(0.0, abs=1e-9)
    assert at[:11] == sorted(at[:11])
    assert at[10:] == sorted(at[10:], reverse=True)


def test_warmup_stable_decay_stays_at_the_peak() -> None:
    factors = {learning_rate_factor(p, "warmup-stable-decay", warmup=0.1, decay=0.2) for p in (0.1, 0.4, 0.79)}
    assert factors == {1.0}
    assert learning_rate_factor(0.85, "warmup-stable-decay", warmup=0.1, decay=0.2) == pytest.approx(0.5)


@pytest.mark.parametrize("kind", SCHEDULES)
def test_progress_outside_the_run_is_clamped(kind: str) -> None:
    assert learning_rate_factor(1.5, kind, warmup=0.0, decay=1.0) == pytest.approx(0.0, abs=1e-9)
    assert learning_rate_factor(-1, kind, warmup=0.0, decay=1.0) == pytest.approx(1.0)
