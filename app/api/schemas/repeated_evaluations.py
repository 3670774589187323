"""The field `evaluations` of a pretraining job: earlier evaluations, which are repeated on its model."""

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from app.api.schemas.common import MAX_ID, JsonBody
from app.jobs.kinds import PretrainingSpec
from app.submission.submission import IntervalEvaluation

_MOST, _MOST_AT_INTERVALS = 10, 3  # of a job

EvaluationId = Annotated[str, Field(min_length=1, max_length=MAX_ID)]


class RepeatedEvaluation(JsonBody):
    id: EvaluationId = Field(description="Id of an earlier evaluation")
    when: Literal["end", "interval"] = Field(
        "end",
        description="end: on the published model. interval: in short, at each evaluation of the run, on its current"
        " weights; the score is the metric `eval_probe`",
    )
    labels_per_class: Annotated[int, Field(ge=1, le=1000)] | Literal["all"] = Field(
        "all", description="Training labels of each class at an interval, for numbers altogether; at most 1,000 in all"
    )

    @model_validator(mode="after")
    def _check_labels(self) -> "RepeatedEvaluation":
        if self.when == "end" and self.labels_per_class != "all":
            raise ValueError("`labels_per_class` is for evaluations at an interval; at the end, the earlier one has it")
        return self


Evaluation: TypeAlias = EvaluationId | RepeatedEvaluation


def _check_intervals(evaluations: list[Evaluation]) -> list[Evaluation]:
    ids = [each.id for each in at_intervals(evaluations)]
    if len(ids) > _MOST_AT_INTERVALS or len(set(ids)) < len(ids):
        raise ValueError(f"at most {_MOST_AT_INTERVALS} different evaluations may be at an interval")
    return evaluations


Evaluations = Annotated[list[Evaluation], Field(max_length=_MOST), AfterValidator(_check_intervals)]


def at_intervals(evaluations: Sequence[Evaluation]) -> tuple[IntervalEvaluation, ...]:
    """Returns those that are repeated at each evaluation of the run."""
    return tuple(
        IntervalEvaluation(each.id, f"evaluations.{place}", each.labels_per_class)
        for place, each in enumerate(evaluations)
        if not isinstance(each, str) and each.when == "interval"
    )


def at_end(evaluations: Sequence[Evaluation]) -> tuple[str, ...]:
    """Returns the ids of those that are repeated on the published model, each once."""
    named = [RepeatedEvaluation(id=each) if isinstance(each, str) else each for each in evaluations]
    return tuple(dict.fromkeys(each.id for each in named if each.when == "end"))


def evaluation_objects(spec: PretrainingSpec) -> list[str | RepeatedEvaluation]:
    found = [
        RepeatedEvaluation(id=each_id, when="interval", labels_per_class=each.labels_per_class[0])
        for each_id, each in spec.interval_evaluations.items()
    ]
    return [*spec.evaluations, *found]
