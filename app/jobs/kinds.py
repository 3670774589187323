"""Specifications of jobs: the validated request, one class for each kind of job."""

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from app.methods.tokenizers import TokenizerReport
from app.types import EvaluationMethod, LabelType, RemoteFile
from app.validation import JsonModel


class JobState(StrEnum):
    VALIDATING = "validating_files"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


Action = Literal["cancel", "pause", "resume", "retry", "extend", "prioritise", "move", "publish", "delete"]


class Resources(JsonModel):
    """The resources that a job needs of its worker; None accepts any."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Literal["cpu", "cuda"] | None = Field(None, description="Device that the job needs; null for any")
    memory_gb: float | None = Field(
        None, gt=0, le=1e6, description="Memory in GB: that of the GPU for `cuda`, otherwise that of the machine"
    )
    threads: int | None = Field(None, ge=1, le=100_000, description="Number of threads that the job needs")
    nodes: int | None = Field(
        None,
        ge=1,
        le=64,
        description="Number of machines over which the `processes` of the job are spread evenly. More than one needs"
        " `CLOZE_TRAINER=ray`; `memory_gb` and `threads` are those of each machine then",
    )
    gpus: int | None = Field(
        None, ge=1, le=64, description="Number of GPUs of the job, which is that of its `processes`"
    )


class Webhook(BaseModel):
    """The webhook that receives changes of a job's state. Without a URL: the operator's, which no record holds."""

    model_config = ConfigDict(frozen=True)

    url: str | None = None
    secret: str | None = Field(None, repr=False)
    events: tuple[JobState, ...] = ()  # the states to report; all if empty


class Estimate(BaseModel):
    """The estimated cost of a job before it is queued. None: not known."""

    model_config = ConfigDict(frozen=True)

    documents: int | None = Field(None, description="Number of documents or media files in all training files")
    samples: int | None = Field(None, description="Number of training samples of media files")
    tokens: int | None = Field(
        None, description="Number of tokens of the documents; for media, of patches of the samples"
    )
    training_tokens: int | None = Field(None, description="Number of tokens that the job trains on in all epochs")
    seconds: float | None = Field(
        None, description="Seconds of training, derived from the speed of the last finished job of the method"
    )
    memory_bytes: int | None = Field(None, description="Peak memory of all processes of the job in bytes")
    disk_bytes: int | None = Field(None, description="Disk space of prepared data, checkpoints and the result in bytes")
    shared_disk_bytes: int | None = Field(
        None, description="Part of disk_bytes that jobs on the same files share: prepared data, and copies of files"
    )
    sampled: bool = Field(
        False, description="Whether a file was too long to be read completely, so that numbers are extrapolated"
    )
    tokenizer: TokenizerReport | None = Field(None, description="The tokenizer of a job on text, tried on a sample")
    read_as: dict[str, int] = Field(
        default_factory=dict,
        description="Number of text files for each kind of document: lines, paragraphs, file, rows or sequences",
    )


class JobSpec(BaseModel):
    """The validated request of a job of any kind. A kind of job is a subclass, listed in `AnySpec`."""

    model_config = ConfigDict(frozen=True)

    # The actions that this kind of job does not support in any state.
    unsupported: ClassVar[frozenset[Action]] = frozenset()

    kind: str
    name: str
    estimate: Estimate | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    resources: Resources = Resources()
    deadline: float | None = None  # Unix seconds
    max_wall_minutes: float | None = None  # from the creation, or the latest retry or extension, on
    webhook: Webhook | None = None
    request: dict[str, Any] = Field(default_factory=dict)  # the body as it was sent

    @property
    def source(self) -> str:
        """The model that the job begins with, as its user named it."""
        raise NotImplementedError

    @property
    def files(self) -> list[tuple[str, str]]:
        """The uploaded files that the job reads: the request's field, and the file's id."""
        raise NotImplementedError

    @property
    def published_name(self) -> str | None:
        """The name of the model that the job publishes; None if it publishes none."""
        return self.name

    @property
    def repeated_evaluations(self) -> tuple[str, ...]:
        """Ids of earlier evaluations that are repeated on the published model."""
        return ()


class PretrainingSpec(JobSpec):
    """A job that trains a model on files. Only an extension replaces it."""

    kind: Literal["pretraining"] = "pretraining"
    model: str  # a preset, or a stored model pinned as name@version
    method: str  # a key of methods.METHODS
    hyperparameters: dict[str, Any]  # dump of the method's model; seed included
    training_files: tuple[str, ...]
    weights: tuple[float, ...] | None = None  # of the training files; None: 1 each
    validation_file: str | None = None
    remote_files: dict[str, RemoteFile] = Field(default_factory=dict)  # those of the files that are addresses
    evaluations: tuple[str, ...] = ()  # ids of earlier evaluations, to repeat on the published model
    # By the ids of earlier evaluations, those that are repeated in short at each evaluation of the run.
    interval_evaluations: "dict[str, EvaluationSpec]" = Field(default_factory=dict)
    sweep: str | None = None  # the sweep that the job belongs to, which publishes the best of its jobs

    @property
    def repeated_evaluations(self) -> tuple[str, ...]:
        return self.evaluations

    @property
    def source(self) -> str:
        return self.model

    @property
    def files(self) -> list[tuple[str, str]]:
        held_out = [("validation_file", self.validation_file)] if self.validation_file else []
        labelled = [("evaluations", file) for each in self.interval_evaluations.values() for _, file in each.files]
        named = [*(("training_file", file) for file in self.training_files), *held_out, *labelled]
        return [(field, file) for field, file in named if file not in self.remote_files]


class ImportSpec(JobSpec):
    """A job that brings a model into the store: from a hub, or from an uploaded archive."""

    unsupported = frozenset({"pause", "resume", "extend", "publish"})

    kind: Literal["import"] = "import"
    hub_id: str | None = None  # org/name or org/name@revision
    file: str | None = None  # the uploaded archive, where there is no hub_id
    architecture: str | None = None
    tokenizer_regex: str | None = None
    base: str | None = None  # the stored model that an adapter changes, pinned as name@version

    @property
    def source(self) -> str:
        return self.hub_id or self.file or ""

    @property
    def files(self) -> list[tuple[str, str]]:
        return [("file", self.file)] if self.file else []


class EvaluationSpec(JobSpec):
    """A job that measures how much stored models help with few labels."""

    unsupported = frozenset({"extend", "publish"})

    kind: Literal["evaluation"] = "evaluation"
    models: tuple[str, ...]  # stored models, pinned as name@version
    file: str
    validation_file: str | None = None
    sequence_file: str | None = None  # whose records the text column names
    text_column: str = "text"
    label_column: str = "label"
    split_column: str | None = None
    pair_column: str | None = None  # of the second text of a pair
    group_column: str | None = None  # of pairs
    label_type: LabelType = "auto"
    label_separator: str | None = None  # between the labels of a cell
    labels_per_class: tuple[int | Literal["all"], ...]
    seeds: int
    methods: tuple[EvaluationMethod, ...]
    publish: str | None = None  # the name under which the best model is published as a classifier

    @property
    def source(self) -> str:
        return self.models[0]

    @property
    def files(self) -> list[tuple[str, str]]:
        optional = {"validation_file": self.validation_file, "sequence_file": self.sequence_file}
        return [("file", self.file), *((name, file) for name, file in optional.items() if file)]

    @property
    def published_name(self) -> str | None:
        return self.publish


class SweepChild(BaseModel):
    """The settings in which one job of a sweep differs."""

    model_config = ConfigDict(frozen=True)

    settings: dict[str, Any]  # by the names of the request
    model: str  # as in PretrainingSpec
    hyperparameters: dict[str, Any]  # that are not those of the sweep's `base`


class SweepSpec(JobSpec):
    """A job that has other jobs train, each with other settings, and publishes the best of their models."""

    unsupported = frozenset({"pause", "resume", "retry", "extend", "prioritise", "move"})

    kind: Literal["sweep"] = "sweep"
    base: PretrainingSpec
    children: tuple[SweepChild, ...]
    search: Literal["grid", "random"]
    seed: int

    @property
    def repeated_evaluations(self) -> tuple[str, ...]:
        return self.base.evaluations

    @property
    def source(self) -> str:
        return self.base.model

    @property
    def files(self) -> list[tuple[str, str]]:
        return self.base.files

    def child(self, sweep_id: str, index: int) -> PretrainingSpec:
        """Returns the specification of a job of this sweep."""
        child, request = self.children[index], self.base.request
        hyperparameters = {name: value for name, value in child.settings.items() if name != "model"}
        sent = {"model": child.model, "hyperparameters": {**request.get("hyperparameters", {}), **hyperparameters}}
        return self.base.model_copy(
            update={
                "name": f"{self.name}-{index + 1}",
                "model": child.model,
                "hyperparameters": {**self.base.hyperparameters, **child.hyperparameters},
                "request": {**request, **sent},
                "sweep": sweep_id,
            }
        )


def _kind(spec: Any) -> str:
    """Returns the kind of a specification. Older records have no kind: they are pretraining."""
    kind = spec.get("kind", "pretraining") if isinstance(spec, dict) else spec.kind
    return str(kind)


AnySpec: TypeAlias = Annotated[
    Annotated[PretrainingSpec, Tag("pretraining")]
    | Annotated[ImportSpec, Tag("import")]
    | Annotated[EvaluationSpec, Tag("evaluation")]
    | Annotated[SweepSpec, Tag("sweep")],
    Discriminator(_kind),
]
