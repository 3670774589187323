"""A job as it is stored: its record, its states and the only allowed ways between them."""

from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.errors import Conflict
from app.methods.tokenizers import TokenizerReport


class JobState(StrEnum):
    VALIDATING = "validating_files"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


# from → to. Everything that changes a state goes through this table, in one transaction.
TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.VALIDATING: frozenset({JobState.QUEUED, JobState.FAILED, JobState.CANCELLED}),
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELLED, JobState.PAUSED, JobState.FAILED}),
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

Action = Literal["cancel", "pause", "resume", "retry", "extend", "prioritise", "move", "publish", "delete"]

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


class Resources(BaseModel):
    """The resources that a job needs of its worker; None accepts any."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Literal["cpu", "cuda"] | None = None
    memory_gb: float | None = Field(
        None, gt=0, le=1e6, description="Memory of the device in GB: the GPU's own, or the machine's"
    )
    threads: int | None = Field(None, ge=1, le=100_000)


class Webhook(BaseModel):
    """The webhook that receives changes of a job's state. Without a URL: the operator's, which no record holds."""

    model_config = ConfigDict(frozen=True)

    url: str | None = None
    secret: str | None = Field(None, repr=False)
    events: tuple[JobState, ...] = ()  # the states that are told; all where there are none


class Estimate(BaseModel):
    """The estimated cost of a job before it is queued. None: not known."""

    model_config = ConfigDict(frozen=True)

    documents: int | None = Field(None, description="Documents or media files, of all training files")
    samples: int | None = Field(None, description="Samples to train on that media files give")
    tokens: int | None = Field(None, description="Tokens of the documents; for media, patches of the samples")
    training_tokens: int | None = Field(None, description="Tokens that the job trains on in all epochs")
    seconds: float | None = Field(
        None, description="Training time, from the speed of the last job that finished, if there is one"
    )
    memory_bytes: int | None = Field(None, description="Peak memory of all processes of the job")
    disk_bytes: int | None = Field(None, description="Disk space of decoded data, checkpoints and the result")
    sampled: bool = Field(False, description="Only the beginning of some file was read, and the rest taken to be alike")
    tokenizer: TokenizerReport | None = Field(None, description="The tokenizer of a job on text, tried on a sample")


class JobSpec(BaseModel):
    """The validated, complete request of a job; only an extension replaces it."""

    model_config = ConfigDict(frozen=True)

    model: str  # a preset, or a stored model pinned as name@version
    method: str  # a key of methods.METHODS
    hyperparameters: dict[str, Any]  # dump of the method's model; seed included
    training_files: tuple[str, ...]
    weights: tuple[float, ...] | None = None  # of the training files; None: 1 each
    validation_file: str | None = None
    estimate: Estimate | None = None
    name: str  # the result is published under this name
    metadata: dict[str, str] = Field(default_factory=dict)
    resources: Resources = Resources()
    deadline: float | None = None  # Unix seconds
    max_wall_minutes: float | None = None  # from the creation, or the latest retry or extension, on
    webhook: Webhook | None = None
    request: dict[str, Any] = Field(default_factory=dict)  # the body as it was sent


class JobError(BaseModel):
    model_config = ConfigDict(frozen=True)

    code: str  # an AppError's code, or internal_error, poisoned, deadline_exceeded
    message: str
    param: str | None = None
    type: Literal["user_error", "system_error"] = "system_error"  # whose mistake it is


class Progress(BaseModel):
    model_config = ConfigDict(frozen=True)

    percent: float = 0.0
    step: int = 0
    total_steps: int | None = None  # an estimate where tokens or minutes end the run
    tokens: int = 0  # trained tokens
    epoch: float = 0.0
    tokens_per_second: float | None = None
    eta_seconds: float | None = None


class Job(BaseModel):
    """The durable record. Times are Unix seconds by the Redis server's clock."""

    model_config = ConfigDict(frozen=True)

    id: str
    spec: JobSpec
    state: JobState
    created_at: float
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
    publish_requested: bool = False  # cancelled, but its last checkpoint is wanted
    worker: str | None = None
    lease_until: float | None = None
    progress: Progress = Progress()
    estimated_finish: float | None = None  # by the latest progress; None unless claimed
    error: JobError | None = None
    result_model: str | None = None  # name@version
    reported: dict[str, int] = Field(default_factory=dict)  # kind of metrics event → its last step
    queue_position: int | None = None  # 0 is next; None unless it waits for a worker

    @property
    def waits(self) -> bool:
        """Whether a worker may claim it: queued, or cancelled by a user who wants what there is."""
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
    """An uploaded file; its content lies at `<files_dir>/<id>/content`."""

    model_config = ConfigDict(frozen=True)

    id: str
    filename: str
    bytes: int
    sha256: str
    purpose: str
    created_at: float


def check_transition(job: Job, state: JobState) -> None:
    if state is not job.state and state not in TRANSITIONS[job.state]:
        ways = ", ".join(sorted(TRANSITIONS[job.state]))
        raise Conflict(f"job '{job.id}' is {job.state} and cannot become {state} (only {ways})")


def check_action(job: Job, action: Action) -> None:
    """Raises Conflict, which says why, for what ACTIONS does not allow."""
    if job.state not in ACTIONS[action]:
        allowed = ", ".join(s for s in JobState if s in ACTIONS[action])
        now = _NOW.get(job.state, f"is {job.state}")
        raise Conflict(f"job '{job.id}' {now} and cannot be {_DONE[action]}: only {allowed} ones can")
