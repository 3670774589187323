import math

import numpy as np

from app.jobs.connection import Client
from app.jobs.metrics import MetricSeries, downsample, iterate_csv
from tests.fakes.jobs import JobSystem, make_spec

LEASE = 60.0


def curve(n: int) -> np.ndarray:
    steps = np.arange(n, dtype=float)
    return np.stack([steps, np.sin(steps / 50), steps + 1e9], axis=1)


def test_a_series_has_each_point_once_across_attempts(redis: Client) -> None:
    jobs = JobSystem(redis)
    jobs.create(make_spec(redis))
    for attempt, steps in enumerate(([10, 20], [20, 30]), start=1):
        claim = jobs.queue.claim(f"w{attempt}", LEASE)
        assert claim
        for step in steps:
            data = {"step": step, "train_loss": 1 / step, "note": "words", "bad": math.nan}
            jobs.queue.append_event(claim, f"Step {step}", type="metrics", data=data)
        jobs.queue.requeue(claim, "The worker is stopping", crashed=False)
    series = MetricSeries(redis)
    assert series.keys(claim.job_id) == ["train_loss"]
    points, none = series.read(claim.job_id, ["train_loss", "eval_loss"])
    assert points[:, 0].tolist() == [10, 20, 30]
    assert points[:, 1].tolist() == [0.1, 0.05, 1 / 30]
    assert (points[:, 2] > 1e9).all()
    assert none.shape == (0, 3)


def test_a_short_series_is_left_alone() -> None:
    points = curve(10)
    assert downsample(points, 10) is points


def test_downsampling_keeps_the_ends_and_the_order() -> None:
    points = curve(1000)
    for count in (3, 7, 499, 999):
        fewer = downsample(points, count)
        assert len(fewer) == count
        assert (fewer[0] == points[0]).all() and (fewer[-1] == points[-1]).all()
        assert (np.diff(fewer[:, 0]) > 0).all()


def test_downsampling_keeps_a_lonely_spike() -> None:
    points = curve(10_000)
    points[4321, 1] = 100.0
    assert 100.0 in downsample(points, 20)[:, 1]


def test_a_table_has_a_row_for_each_step_and_a_column_for_each_metric() -> None:
    train = np.array([[1, 3.5, 100.0], [2, 3.0, 101.0]])
    held_out = np.array([[2, 2.5, 102.0], [4, 2.0, 104.0]])
    assert list(iterate_csv(["train_loss", "eval_loss"], [train, held_out])) == [
        "step,time,train_loss,eval_loss\n",
        "1,100.0,3.5,\n",
        "2,102.0,3.0,2.5\n",
        "4,104.0,,2.0\n",
    ]
    assert list(iterate_csv([], [])) == ["step,time\n"]
