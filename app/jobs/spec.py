"""A job as it is stored: its record, its states and the only allowed ways between them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.errors import Conflict
from app.jobs.kinds import Action, AnySpec, JobState, PretrainingSpec, SweepSpec

# from → to. Everything that changes a state goes through this table, in one transaction.
TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.VALIDATING: frozenset({JobState.QUEUED, JobState.FAILED, JobState.CANCELLED}),
    # A sweep is cancelling until its jobs are cancelled.
    JobState.QUEUED: frozenset(
        {JobState.RUNNING, JobState.CANCELLING, JobState.CANCELLED, JobState.PAUSED, JobState.FAILED}
    ),
    JobState.RUNNING: frozenset(
        {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLING, JobState.QUEUED, JobState.PAUSED}
    ),
    JobState.CANCELLING: frozenset({JobState.CANCELLED, JobState.SUCCEEDED, JobState.FAILED}),
    JobState.PAUSED: frozenset({JobState.QUEUED, JobState.CANCELLED, JobState.FAILED}),
    JobState.SUCCEEDED: frozenset({JobState.QUEUED}),  # extended
    JobState.FAILED: frozenset({JobState.QUEUED}),  # retried
    JobState.CANCELLED: frozenset({JobState.QUEUED}),  # retried
}

FINAL_STATES = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
_ACTIVE = frozenset(JobState) - FINAL_STATES


# What a user may ask of a job in which states; anything else is a 409.
ACTIONS: dict[Action, frozenset[JobState]] = {
    "cancel": _ACTIVE,
    "pause": frozenset({JobState.QUEUED, JobState.RUNNING, JobState.PAUSED}),
    "resume": frozenset({JobState.PAUSED, JobState.RUNNING}),  # running: takes back a request to pause
    "retry": frozenset({JobState.FAILED, JobState.CANCELLED}),
    "extend": frozenset({JobState.SUCCEEDED}),
    "prioritise": _ACTIVE,
    "move": frozenset({JobState.QUEUED}),
    "publish": frozenset(JobState) - {JobState.VALIDATING},
    "delete": FINAL_STATES,
}

_NOW = {
    JobState.SUCCEEDED: "has already succeeded",
    JobState.FAILED: "has already failed",
    JobState.CANCELLED: "has already been cancelled",
}
_DONE: dict[Action, str] = {
    "cancel": "cancelled",
    "pause": "paused",
    "resume": "resumed",
    "retry": "retried",
    "extend": "extended",
    "prioritise": "given another priority",
    "move": "moved in the queue",
    "publish": "published",
    "delete": "deleted",
}

MAX_PRIORITY = 1000


class JobError(BaseModel):
    model_config = ConfigDict(frozen=True)

    code: str = Field(description="Code of the error, such as `invalid_data` or `out_of_memory`")
    message: str = Field(description="The error in words")
    param: str | None = Field(None, description="Name of the invalid field of the request, if there is one")
    type: Literal["user_error", "system_error"] = Field(
        "system_error", description="`user_error` if the request or its data can be corrected"
    )


class Progress(BaseModel):
    model_config = ConfigDict(frozen=True)

    percent: float = Field(0.0, description="Share of the job that is done, in percent")
    step: int = Field(0, description="Number of completed optimizer steps")
    total_steps: int | None = Field(None, description="Steps of the run; an estimate if tokens or minutes end it")
    tokens: int = Field(0, description="Number of tokens trained on")
    epoch: float = Field(0.0, description="Number of passes over the training data")
    tokens_per_second: float | None = Field(None, description="Tokens trained on per second")
    eta_seconds: float | None = Field(None, description="Expected seconds until the end of the training")


class Verdict(BaseModel):
    """The verdict on a run that has ended."""

    model_config = ConfigDict(frozen=True)

    learnt: bool | None = Field(
        None, description="Whether the model is clearly better than its best baseline; null if there is none to compare"
    )
    measure: str = Field("loss", description="The held-out metric that is compared, without the prefix `eval_`")
    value: float | None = Field(None, description="The measure of the published weights")
    baseline: str | None = Field(None, description="Name of the best baseline")
    baseline_value: float | None = Field(None, description="The measure of that baseline")
    trend: Literal["improving", "flat", "worse", "unknown"] = Field(
        "unknown", description="Trend of the held-out curve at its end"
    )
    overfitted: bool = Field(
        False, description="Whether the held-out metric got worse while the training data were repeated"
    )
    summary: str = Field("", description="The verdict in words")
    advice: str = Field("", description="What to do next")


class Job(BaseModel):
    """The durable record. Times are Unix seconds by the Redis server's clock."""

    model_config = ConfigDict(frozen=True)

    id: str
    spec: AnySpec
    state: JobState
    created_at: float
    owner: str | None = None  # the id of the API key that made it; None: an operator, or a server without keys
    sequence: int = 0  # its number by age; 0: of a record that is older than this field
    started_at: float | None = None
    finished_at: float | None = None
    attempt: int = 0  # raised by every claim: the fencing number
    crashes: int = 0  # attempts in a row that died before they reached a new checkpoint
    memory_kills: int = 0  # attempts that the kernel has killed because memory ran out
    retry_at: float | None = None  # not claimed before, after a crash
    retries: int = 0  # how often its user has retried it
    extensions: int = 0
    extended_at_step: int = 0  # where the latest extension began
    priority: int = 0  # higher is sooner
    deadline: float | None = None
    pause_requested: bool = False  # of a running job, until it has stopped
    publish_requested: bool = False  # cancelled, but its last checkpoint is wanted; of a sweep, its best result
    trace: str | None = None  # the W3C traceparent of the request that has made it, if that was traced
    worker: str | None = None
    lease_until: float | None = None
    progress: Progress = Progress()
    estimated_finish: float | None = None  # by the latest progress; None unless claimed
    error: JobError | None = None
    result_model: str | None = None  # name@version
    chosen: dict[str, Any] = Field(default_factory=dict)  # what the run trains with, every default resolved
    verdict: Verdict | None = None  # on the run, once it has ended
    held_out_measures: dict[str, float] = Field(default_factory=dict)  # of the weights that the run would publish
    reported: dict[str, int] = Field(default_factory=dict)  # kind of metrics event → its last step
    queue_position: int | None = None  # 0 is next; None unless it waits for a worker

    @property
    def waits(self) -> bool:
        """Whether a worker may claim it: queued, or cancelled without a worker that ends it."""
        return self.state is JobState.QUEUED or (self.state is JobState.CANCELLING and self.lease_until is None)


class JobEvent(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: str
    created_at: float
    level: Literal["info", "warn", "error"] = "info"
    type: Literal["message", "metrics"] = "message"
    message: str
    data: dict[str, Any] = Field(default_factory=dict)


class Checkpoint(BaseModel):
    """A checkpoint that is complete on disk."""

    model_config = ConfigDict(frozen=True)

    id: str
    step: int
    created_at: float
    path: str  # relative to the job's folder
    metrics: dict[str, float] = Field(default_factory=dict)


class StoredFile(BaseModel):
    """An uploaded file; its content is at `<files_dir>/<id>/content`."""

    model_config = ConfigDict(frozen=True)

    id: str
    filename: str
    bytes: int
    sha256: str
    purpose: str
    created_at: float
    owner: str | None = None  # as of a job


def check_transition(job: Job, state: JobState) -> None:
    if state is not job.state and state not in TRANSITIONS[job.state]:
        ways = ", ".join(sorted(TRANSITIONS[job.state]))
        raise Conflict(f"job '{job.id}' is {job.state} and cannot become {state} (only {ways})")


def pretraining_spec(job: Job) -> PretrainingSpec:
    """The specification of a job that trains. Raises Conflict for jobs of other kinds."""
    if not isinstance(job.spec, PretrainingSpec):
        raise Conflict(f"job '{job.id}' is of the kind '{job.spec.kind}' and does not train")
    return job.spec


def check_action(job: Job, action: Action) -> None:
    """Raises Conflict, which says why, for what the job's kind or ACTIONS does not allow."""
    if action in job.spec.unsupported:
        hint = "; its jobs can be" if isinstance(job.spec, SweepSpec) else ""
        raise Conflict(f"job '{job.id}' is of the kind '{job.spec.kind}', which cannot be {_DONE[action]}{hint}")
    if job.state not in ACTIONS[action]:
        allowed = ", ".join(s for s in JobState if s in ACTIONS[action])
        now = _NOW.get(job.state, f"is {job.state}")
        raise Conflict(f"job '{job.id}' {now} and cannot be {_DONE[action]}: only {allowed} ones can")
