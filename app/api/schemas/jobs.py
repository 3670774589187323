"""Bodies of pretraining jobs: OpenAI's fine-tuning job, with further fields."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, FailFast, Field, model_validator

from app.api.schemas.common import MAX_MODEL_ID, JsonBody
from app.api.schemas.job_record import JobRecord, record_fields
from app.api.schemas.job_watch import WebhookRequest
from app.api.schemas.previews import FilePreviewObject, preview_objects
from app.api.schemas.repeated_evaluations import (
    Evaluations,
    RepeatedEvaluation,
    at_end,
    at_intervals,
    evaluation_objects,
)
from app.datasets.remote.files import MAX_ADDRESS
from app.jobs.kinds import Estimate, JobState, PretrainingSpec, Resources
from app.jobs.spec import MAX_PRIORITY, Job, JobEvent, Verdict, pretraining_spec
from app.store.names import MAX_NAME_LENGTH
from app.submission.job_specs import CheckedSubmission
from app.submission.submission import Submission

FileId = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_ADDRESS,
        description="Id of an uploaded file, or address of a remote one that the operator allows:"
        " hf://datasets/owner/name/path, https://host/path or s3://bucket/key",
    ),
]
ResultName = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH)]


Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
]


class WeightedFile(JsonBody):
    id: FileId = Field(description="Id of the file")
    weight: float = Field(
        1.0, gt=0, le=1000, description="Number of times that an epoch sees each document of the file"
    )


Priority = Annotated[
    int,
    Field(
        ge=-MAX_PRIORITY,
        le=MAX_PRIORITY,
        description="Priority of the job; jobs of higher priority are claimed first",
    ),
]

MAX_FIELDS = 200  # of an object of hyperparameters; no method has so many
LATEST = 1e11  # of Unix times: in some 3,000 years
LONGEST = 5_256_000.0  # minutes: ten years
_ENDED = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class JobRequest(JsonBody):
    model: str = Field(
        min_length=1,
        max_length=MAX_MODEL_ID,
        description="Stored model to continue training, or preset to train from scratch",
    )
    training_file: FileId | None = Field(None, description="Id of the file to train on")
    training_files: Annotated[list[FileId | WeightedFile], FailFast()] = Field(
        [], max_length=1000, description="Files to train on, with or without weights, instead of `training_file`"
    )
    validation_file: FileId | None = Field(
        None, description="Id of a file with held-out data; by default a share of the training data is held out"
    )
    method: dict[str, Any] | None = Field(
        None,
        max_length=MAX_FIELDS,
        description='Training method with its hyperparameters: `{"type": "mlm", "mlm": {"hyperparameters": {…}}}`',
    )
    hyperparameters: dict[str, Any] | None = Field(
        None, max_length=MAX_FIELDS, description="Hyperparameters, in OpenAI's older form"
    )
    seed: int | None = Field(None, ge=0, lt=2**32)
    name: ResultName | None = Field(
        None, description="Name of the published model; by default that of `model` with a random ending"
    )
    suffix: ResultName | None = Field(None, description="OpenAI's name of the field `name`")
    evaluations: Evaluations = Field(
        [], description="Earlier evaluations, to repeat on the published model or at each evaluation of the run"
    )
    metadata: Metadata | None = None
    integrations: None = None
    webhook: WebhookRequest | None = None
    resources: Resources = Resources()
    priority: Priority = 0
    deadline: float | None = Field(None, gt=0, lt=LATEST, description="Unix time at which an unfinished job fails")
    max_wall_minutes: float | None = Field(
        None, gt=0, le=LONGEST, description="The deadline in minutes from now, including the time in the queue"
    )

    @model_validator(mode="after")
    def _check_files(self) -> "JobRequest":
        if (self.training_file is None) == (not self.training_files):
            raise ValueError("give either `training_file` or `training_files`")
        if self.name and self.suffix and self.name != self.suffix:
            raise ValueError("`name` and `suffix` mean the same and differ")
        if len(set(self.files)) < len(self.files):
            raise ValueError("`training_files` names a file twice; give it a weight instead")
        return self

    @property
    def files(self) -> tuple[str, ...]:
        if self.training_file:
            return (self.training_file,)
        return tuple(file if isinstance(file, str) else file.id for file in self.training_files)

    @property
    def weights(self) -> tuple[float, ...] | None:
        """The weights of the files; None if none is given."""
        if all(isinstance(file, str) for file in self.training_files):
            return None
        return tuple(1.0 if isinstance(file, str) else file.weight for file in self.training_files)

    def to_submission(self) -> Submission:
        return Submission(
            model=self.model,
            files=self.files,
            weights=self.weights,
            validation_file=self.validation_file,
            method=self.method,
            hyperparameters=self.hyperparameters,
            seed=self.seed,
            evaluations=at_end(self.evaluations),
            interval_evaluations=at_intervals(self.evaluations),
            name=self.name or self.suffix,
            name_field="name" if self.name else "suffix",
            metadata=self.metadata or {},
            resources=self.resources,
            webhook=self.webhook.to_webhook() if self.webhook else None,
            deadline=self.deadline,
            max_wall_minutes=self.max_wall_minutes,
            sent=self.model_dump(exclude_unset=True),
        )


class JobObject(JobRecord):
    """A job that trains, as OpenAI's fine-tuning job, with further fields."""

    kind: Literal["pretraining"] = "pretraining"
    object: Literal["fine_tuning.job"] = "fine_tuning.job"
    pause_requested: bool = Field(description="Whether the job is saving a checkpoint in order to pause")
    model: str = Field(description="Preset, or stored model as name@version, that the job trains")
    fine_tuned_model: str | None = Field(description="The published model, as name@version; null before")
    method: dict[str, Any]
    hyperparameters: dict[str, Any] = Field(description="All hyperparameters of the job")
    training_file: str
    training_files: list[str | WeightedFile]
    validation_file: str | None
    evaluations: list[str | RepeatedEvaluation] = Field(
        description="Ids of the evaluations that are repeated on the published model, and those that are repeated at"
        " each evaluation of the run"
    )
    estimate: Estimate | None = Field(description="Estimate of the cost, made when the job was created")
    seed: int
    trained_tokens: int | None = Field(description="Tokens that the job trained on; null until it has ended")
    chosen: dict[str, Any] = Field(
        description="Settings of the run with every default resolved; empty until the data are prepared"
    )
    verdict: Verdict | None = Field(
        description="Verdict on the run: whether the model learnt, and what to do next; null until the end"
    )
    extensions: int = Field(description="Number of times that the job was extended")
    sweep: str | None = Field(description="Id of the sweep that the job belongs to, which publishes the best model")
    integrations: list[Any] = Field(default_factory=list)
    result_files: list[str] = Field(default_factory=list, description="A field of OpenAI's; always empty")
    organization_id: str = Field("cloze", description="A field of OpenAI's; always `cloze`")


class EventObject(BaseModel):
    id: str
    object: Literal["fine_tuning.job.event"] = "fine_tuning.job.event"
    created_at: int
    level: Literal["info", "warn", "error"] = Field(description="Severity of the event")
    type: Literal["message", "metrics"] = Field(description="`metrics` for events whose data are metrics")
    message: str = Field(description="The event in words")
    data: dict[str, Any] = Field(description="Data of the event, such as metrics")


class ValidationObject(BaseModel):
    """The job that a request would create. An invalid request gets the error that creating the job would."""

    object: Literal["fine_tuning.job.validation"] = "fine_tuning.job.validation"
    valid: Literal[True] = Field(True, description="Whether the request is valid; always true")
    model: str = Field(description="Preset, or stored model as name@version, that the job would train")
    name: str = Field(description="Name that the job would publish its model under")
    method: dict[str, Any]
    training_files: list[str | WeightedFile]
    validation_file: str | None
    estimate: Estimate | None = Field(description="Estimate of the cost of the job")
    previews: list[FilePreviewObject] = Field(description="Previews of the first 20 files: how each of them is read")


class JobList(BaseModel):
    object: Literal["list"] = "list"
    data: list[JobObject]
    has_more: bool


class EventList(BaseModel):
    object: Literal["list"] = "list"
    data: list[EventObject]
    has_more: bool


def job_object(job: Job, queue_reason: str | None = None) -> JobObject:
    spec, progress = pretraining_spec(job), job.progress
    return JobObject(
        **record_fields(job, queue_reason),
        pause_requested=job.pause_requested,
        model=spec.model,
        fine_tuned_model=job.result_model,
        method={"type": spec.method, spec.method: {"hyperparameters": spec.hyperparameters}},
        hyperparameters=spec.hyperparameters,
        training_file=spec.training_files[0],
        training_files=_files(spec),
        validation_file=spec.validation_file,
        evaluations=evaluation_objects(spec),
        estimate=spec.estimate,
        seed=spec.hyperparameters.get("seed", 0),
        trained_tokens=progress.tokens if job.state in _ENDED else None,
        chosen=job.chosen,
        verdict=job.verdict,
        extensions=job.extensions,
        sweep=spec.sweep,
    )


def validation_object(checked: CheckedSubmission) -> ValidationObject:
    spec = checked.spec
    return ValidationObject(
        model=spec.model,
        name=spec.name,
        method={"type": spec.method, spec.method: {"hyperparameters": spec.hyperparameters}},
        training_files=_files(spec),
        validation_file=spec.validation_file,
        estimate=spec.estimate,
        previews=preview_objects(checked.previews),
    )


def _files(spec: PretrainingSpec) -> list[str | WeightedFile]:
    if spec.weights is None:
        return list(spec.training_files)
    return [WeightedFile(id=i, weight=w) for i, w in zip(spec.training_files, spec.weights, strict=True)]


def event_object(event: JobEvent) -> EventObject:
    return EventObject(
        id=event.id,
        created_at=int(event.created_at),
        level=event.level,
        type=event.type,
        message=event.message,
        data=event.data,
    )


EXAMPLES = {
    "scratch": {
        "summary": "A small model from scratch (upload a file first, and put its id here)",
        "value": {
            "model": "bert-tiny",
            "training_file": "file-…",
            "name": "my-first-model",
            "method": {"type": "mlm", "mlm": {"hyperparameters": {"max_minutes": 5}}},
        },
    },
    "continue": {
        "summary": "Continue from a stored model",
        "value": {
            "model": "cloze-text",
            "training_file": "file-…",
            "method": {"type": "mlm", "mlm": {"hyperparameters": {"epochs": 1, "learning_rate": 1e-4}}},
            "metadata": {"team": "docs"},
        },
    },
}
