"""Bodies of actions on a job: cancel, retry, extend, reorder, publish, delete."""

from typing import Literal

from pydantic import BaseModel, Field, model_validator

from app.api.schemas.common import MAX_COUNT, JsonBody
from app.api.schemas.jobs import LATEST, LONGEST, Priority, ResultName
from app.methods.base import MAX_STEPS, MAX_TOKENS


class CancelRequest(JsonBody):
    publish: bool = Field(False, description="Publish the last checkpoint under the job's name")


class RetryRequest(JsonBody):
    deadline: float | None = Field(None, gt=0, lt=LATEST, description="New deadline, if the old one has passed")
    max_wall_minutes: float | None = Field(
        None, gt=0, le=LONGEST, description="New deadline in minutes from now, including the time in the queue"
    )


class ExtendRequest(JsonBody):
    """New limits for the whole job, which replace all its old ones."""

    max_steps: int | None = Field(None, le=MAX_STEPS, description="Optimizer steps of the whole job")
    epochs: float | None = Field(None, description="Passes over the training data of the whole job")
    max_tokens: int | None = Field(None, le=MAX_TOKENS, description="Tokens to train on in the whole job")
    max_minutes: float | None = Field(None, description="Minutes of training of the whole job")

    @model_validator(mode="after")
    def _check_any(self) -> "ExtendRequest":
        if not self.model_fields_set:
            raise ValueError("give at least one of `max_steps`, `epochs`, `max_tokens` and `max_minutes`")
        return self


class PriorityRequest(JsonBody):
    priority: Priority | None = Field(None, description="New priority; jobs of higher priority are claimed first")
    position: int | None = Field(
        None,
        ge=0,
        le=MAX_COUNT,
        description="New position in the queue, 0 is next; also sets the priority to that of the job there",
    )

    @model_validator(mode="after")
    def _check_one(self) -> "PriorityRequest":
        if (self.priority is None) == (self.position is None):
            raise ValueError("give either `priority` or `position`")
        return self


class PublishRequest(JsonBody):
    name: ResultName | None = Field(None, description="Name of the published model; by default that of the job")


class PublishedCheckpoint(BaseModel):
    object: Literal["fine_tuning.job.publication"] = "fine_tuning.job.publication"
    model: str = Field(description="Published version as name@version; it is served at once")
    checkpoint: str
    fine_tuning_job_id: str
    step_number: int


class JobDeleted(BaseModel):
    id: str
    object: Literal["fine_tuning.job"] = "fine_tuning.job"
    deleted: Literal[True] = True


CANCEL_EXAMPLES = {
    "stop": {"summary": "Stop, and keep the last checkpoint", "value": {}},
    "publish": {"summary": "Stop, and publish what there is", "value": {"publish": True}},
}
RETRY_EXAMPLES = {
    "again": {"summary": "From the last checkpoint", "value": {}},
    "limited": {"summary": "With an hour from now", "value": {"max_wall_minutes": 60}},
}
EXTEND_EXAMPLES = {"steps": {"summary": "Up to 20,000 steps in all", "value": {"max_steps": 20_000}}}
PRIORITY_EXAMPLES = {
    "priority": {"summary": "Before all of lower priority", "value": {"priority": 10}},
    "position": {"summary": "Next", "value": {"position": 0}},
}
PUBLISH_EXAMPLES = {
    "own": {"summary": "Under the job's name", "value": {}},
    "other": {"summary": "Under another name", "value": {"name": "halfway"}},
}
