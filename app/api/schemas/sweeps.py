"""Bodies of sweeps: jobs that search for hyperparameters."""

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from app.api.schemas.common import MAX_COUNT, JsonBody
from app.api.schemas.job_record import JobRecord, job_status, record_fields
from app.api.schemas.jobs import JobRequest
from app.jobs.kinds import Estimate, JobState
from app.jobs.spec import FINAL_STATES, Job
from app.jobs.sweeps import RankedChild, Ranking, sweep_spec
from app.submission.search import Parameter as SearchParameter
from app.submission.search import Range, Search
from app.submission.sweeps import SweepSubmission

MAX_PARAMETERS = 20
_MAX_VALUES = 1000  # of one parameter
_MAX_NAME = 64  # characters

_MAX_INTEGER = 2**53  # what JSON's numbers hold exactly

Integer = Annotated[int, Field(ge=-_MAX_INTEGER, le=_MAX_INTEGER)]


def _check_value(value: Any) -> Any:
    """Refuses what no member of the union takes, so that the message does not name the first of them alone."""
    if not isinstance(value, bool | int | float | str) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError("expected a number, a string or a boolean")
    return value


Value = Annotated[
    bool | Integer | float | Annotated[str, Field(max_length=512)],
    BeforeValidator(_check_value),
]


class Parameter(JsonBody):
    """The values of a hyperparameter, or the range that a random search draws from. A list is short for `values`."""

    values: list[Value] | None = Field(None, min_length=1, max_length=_MAX_VALUES, description="Values to try")
    min: float | None = Field(None, description="Smallest number of a range")
    max: float | None = Field(None, description="Largest number of a range")
    scale: Literal["linear", "log"] = Field(
        "linear", description="What is uniform within the range: the number, or its logarithm"
    )

    @model_validator(mode="before")
    @classmethod
    def _accept_list(cls, data: Any) -> Any:
        if not isinstance(data, list | dict):
            raise ValueError("give a list of values, or an object with `min` and `max`")
        return {"values": data} if isinstance(data, list) else data

    @model_validator(mode="after")
    def _check_range(self) -> "Parameter":
        if self.values is not None:
            if self.min is not None or self.max is not None:
                raise ValueError("give either `values`, or `min` and `max`")
        elif self.min is None or self.max is None:
            raise ValueError("give `values`, or `min` and `max`")
        elif not self.min < self.max:
            raise ValueError("`min` should be less than `max`")
        elif self.scale == "log" and self.min <= 0:
            raise ValueError("a logarithmic range begins above 0")
        return self

    def to_parameter(self) -> SearchParameter:
        if self.values is not None:
            return self.values
        assert self.min is not None
        assert self.max is not None
        return Range(self.min, self.max, self.scale)


class SweepRequest(JsonBody):
    job: JobRequest = Field(description="The job, without the hyperparameters that the sweep sets")
    parameters: dict[Annotated[str, Field(max_length=_MAX_NAME)], Parameter] = Field(
        min_length=1,
        max_length=MAX_PARAMETERS,
        description="Hyperparameters, or `model`, with the values to try: a list, or `min`, `max` and `scale`",
    )
    search: Search = Field(
        "grid", description="grid: one job for each combination of values. random: `count` random combinations"
    )
    count: int | None = Field(None, ge=1, le=MAX_COUNT, description="Number of jobs of a random search")
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of a random search")

    def to_submission(self) -> SweepSubmission:
        return SweepSubmission(
            job=self.job.to_submission(),
            parameters={name: parameter.to_parameter() for name, parameter in self.parameters.items()},
            search=self.search,
            count=self.count,
            seed=self.seed,
            sent=self.model_dump(exclude_unset=True),
        )


class SweepJob(BaseModel):
    """A job of a sweep."""

    id: str = Field(description="Id of the job")
    name: str = Field(description="Name of the job: that of the sweep, with a number")
    rank: int | None = Field(description="1 is the best; null unless the job has succeeded")
    status: str = Field(description="State of the job")
    settings: dict[str, Any] = Field(description="The values of the sweep's parameters")
    value: float | None = Field(description="The latest held-out measure")
    learnt: bool | None = Field(description="Whether the model beats its baselines clearly")
    percent: float = Field(description="Progress in percent")
    error: str | None = Field(description="Why the job failed")


class SweepObject(JobRecord):
    """A job that has others train, and publishes the best of their models. Its progress is that of all its jobs."""

    kind: Literal["sweep"] = Field("sweep", description="Kind of the job")
    object: Literal["sweep"] = Field("sweep", description="Type of the object")
    model: str = Field(description="The model that the jobs train, unless it is a parameter")
    method: str = Field(description="Training method of the jobs")
    fine_tuned_model: str | None = Field(description="The best model, published as name@version")
    parameters: list[str] = Field(description="Names of the parameters, in the order of the request")
    search: Search = Field(description="How the settings were chosen")
    seed: int = Field(description="Seed of a random search")
    count: int = Field(description="Number of jobs")
    ended: int = Field(description="Number of jobs that have ended")
    measure: str = Field(description="The held-out metric that ranks the jobs, without `eval_`; less is better")
    best: str | None = Field(description="Id of the best job that has succeeded")
    jobs: list[SweepJob] = Field(description="The jobs, the best first")
    estimate: Estimate | None = Field(description="Estimate for all jobs, from that of the first one")


class SweepList(BaseModel):
    object: Literal["list"] = Field("list", description="Type of the object")
    data: list[SweepObject] = Field(description="Sweeps, newest first")
    has_more: bool = Field(description="Whether there is a further page")


def sweep_object(sweep: Job, ranking: Ranking) -> SweepObject:
    """ranking: of the sweep's jobs as they are now."""
    spec, jobs = sweep_spec(sweep), [child.job for child in ranking.children]
    count, best = len(spec.children), ranking.best
    ended = [job for job in jobs if job.state in FINAL_STATES]
    percent = sum(100.0 if job in ended else job.progress.percent for job in jobs) / count
    begun = [job.started_at for job in jobs if job.started_at]
    fields = record_fields(sweep, None) | {
        "status": _status(sweep, jobs),
        "started_at": int(min(begun)) if begun else None,
        "progress": sweep.progress.model_copy(update={"percent": round(percent, 2)}),
        "queue_position": None,
    }
    return SweepObject(
        **fields,
        model=spec.base.model,
        method=spec.base.method,
        fine_tuned_model=sweep.result_model,
        parameters=list(spec.children[0].settings),
        search=spec.search,
        seed=spec.seed,
        count=count,
        ended=len(ended),
        measure=ranking.measure,
        best=best.id if best else None,
        jobs=[_child_object(sweep, child) for child in ranking.children],
        estimate=spec.estimate,
    )


def _status(sweep: Job, jobs: list[Job]) -> str:
    """A sweep that waits is running once one of its jobs has begun."""
    is_running = sweep.state is JobState.QUEUED and any(job.started_at for job in jobs)
    return JobState.RUNNING if is_running else job_status(sweep)


def _child_object(sweep: Job, child: RankedChild) -> SweepJob:
    job = child.job
    return SweepJob(
        id=job.id,
        name=job.spec.name,
        rank=child.rank,
        status=job_status(job),
        settings=sweep_spec(sweep).children[child.index].settings,
        value=child.value,
        learnt=job.verdict.learnt if job.verdict else None,
        percent=job.progress.percent,
        error=job.error.message.splitlines()[0] if job.error else None,
    )


EXAMPLES = {
    "grid": {
        "summary": "Every combination of two learning rates and two batch sizes",
        "value": {
            "job": {"model": "bert-tiny", "training_file": "file-…", "name": "lions", "hyperparameters": {"epochs": 1}},
            "parameters": {"learning_rate": [5e-4, 2e-3], "batch_tokens": [2048, 8192]},
        },
    },
    "random": {
        "summary": "Eight random combinations",
        "value": {
            "job": {"model": "bert-tiny", "training_file": "file-…", "hyperparameters": {"max_minutes": 5}},
            "search": "random",
            "count": 8,
            "parameters": {
                "learning_rate": {"min": 1e-4, "max": 1e-2, "scale": "log"},
                "masking_rate": {"min": 0.15, "max": 0.5},
            },
        },
    },
}
