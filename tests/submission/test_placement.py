"""Whether the processes of a job can be placed as its resources ask."""

from typing import Any, Literal

import pytest

from app.errors import InvalidValue
from app.jobs.kinds import Resources
from app.methods import MlmHyperparameters
from app.submission.placement import check_placement
from app.submission.submission import IntervalEvaluation, Submission


def check(resources: dict[str, Any], processes: int, trainer: Literal["local", "ray"], **given: Any) -> None:
    submission = Submission("bert-tiny", ("file",), resources=Resources(**resources), **given)
    check_placement(submission, MlmHyperparameters(processes=processes), trainer)


@pytest.mark.parametrize(
    ("resources", "processes", "trainer"),
    [
        ({}, 8, "local"),
        ({"nodes": 1, "gpus": 8}, 8, "local"),
        ({"nodes": 2, "gpus": 8, "device": "cuda"}, 8, "ray"),
        ({"nodes": 4, "memory_gb": 16, "device": "cpu"}, 4, "ray"),
    ],
)
def test_what_can_be_placed(resources: dict[str, Any], processes: int, trainer: Literal["local", "ray"]) -> None:
    check(resources, processes, trainer)


@pytest.mark.parametrize(
    ("resources", "processes", "trainer", "field", "says"),
    [
        ({"nodes": 2}, 2, "local", "nodes", "unless CLOZE_TRAINER is ray"),
        ({"nodes": 2}, 1, "ray", "nodes", "1 processes cannot be spread evenly over 2 machines"),
        ({"nodes": 3}, 8, "ray", "nodes", "set `processes`"),
        ({"gpus": 2}, 1, "local", "gpus", "2 GPUs need as many `processes`, not 1"),
        ({"gpus": 1, "device": "cpu"}, 1, "ray", "gpus", "has no GPUs"),
    ],
)
def test_what_cannot_be_placed(
    resources: dict[str, Any], processes: int, trainer: Literal["local", "ray"], field: str, says: str
) -> None:
    with pytest.raises(InvalidValue, match=says) as raised:
        check(resources, processes, trainer)
    assert raised.value.param == f"resources.{field}"


def test_a_cluster_measures_no_scores_during_a_run() -> None:
    scored = (IntervalEvaluation("ftjob-1", "evaluations.0"),)
    check({}, 1, "local", interval_evaluations=scored)
    with pytest.raises(InvalidValue, match="not measured") as raised:
        check({}, 1, "ray", interval_evaluations=scored)
    assert raised.value.param == "evaluations"
