from dataclasses import replace
from itertools import islice
from typing import Any

import torch

from app.methods import MlmHyperparameters
from app.training.loop.checkpoint import TrainState
from app.training.loop.distributed import ProcessGroup
from app.training.loop.plan import Plan, make_plan
from app.training.loop.step import iterate_steps


class Fractions:
    """An objective whose masked samples are the shares of the run that it was told."""

    def mask_sample(self, sample: int, rng: object, *, evaluate: bool = False, fraction: float = 0.0) -> float:
        return fraction

    def collate_masked(self, samples: list[float]) -> list[float]:
        return samples


def plan(**hyperparameters: Any) -> Plan:
    return make_plan(
        MlmHyperparameters(**hyperparameters),
        samples=3,
        tokens=3,
        samples_per_step=2,
        from_scratch=True,
        new_head=True,
        precision=torch.float32,
    )


def fractions(plan: Plan, state: TrainState, count: int, latest: list[TrainState] | None = None) -> list[float]:
    """Returns the shares of `count` steps from a state on. `latest`: the states in which the steps find the run."""
    data: Any = [0, 1, 2]
    objective: Any = Fractions()
    following = iter(latest or [state] * count)
    steps = iterate_steps(objective, data, plan, state, ProcessGroup(), latest=lambda: next(following))
    return [share for step in islice(steps, count) for batch in step for share in batch][::2]


def test_masks_know_the_share_of_the_run_before_their_step() -> None:
    start = TrainState()
    assert fractions(plan(max_steps=4), start, 4) == [0.0, 0.25, 0.5, 0.75]
    resumed = replace(start, step=2, samples=4, seconds=9.0)
    assert fractions(plan(max_steps=4), resumed, 2) == [0.5, 0.75]


def test_if_time_may_end_the_run_masks_follow_the_latest_step() -> None:
    timed = [TrainState(seconds=seconds) for seconds in (0.0, 6.0, 30.0)]
    assert fractions(plan(max_minutes=1), TrainState(), 3, timed) == [0.0, 0.1, 0.5]
