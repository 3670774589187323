"""The input of a new job, as it arrives from any front door: HTTP today, a command or a library tomorrow."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal

from app.jobs.files import FileStore
from app.jobs.jobs import Jobs
from app.jobs.kinds import Resources, Webhook
from app.settings import Settings
from app.store.store import ModelStore
from app.system.process_pool import ProcessPool


@dataclass(frozen=True)
class IntervalEvaluation:
    """An earlier evaluation, to repeat in short at each evaluation of a run.

    field: of the request, that names it. labels_per_class: of the training part.
    """

    id: str
    field: str
    labels_per_class: int | Literal["all"] = "all"


@dataclass(frozen=True)
class Submission:
    """A request for a new job. Types and ranges of its fields are checked; models, files and the method are not."""

    model: str  # a stored model to continue from, or a preset
    files: tuple[str, ...]  # ids or addresses of the training files
    weights: tuple[float, ...] | None = None  # of the training files; None: 1 each
    validation_file: str | None = None
    method: Mapping[str, Any] | None = None  # {"type": name, name: {"hyperparameters": {…}}}; None: the model's default
    hyperparameters: Mapping[str, Any] | None = None  # instead of those in `method`
    seed: int | None = None
    evaluations: tuple[str, ...] = ()  # ids of earlier evaluations, to repeat on the result
    interval_evaluations: tuple[IntervalEvaluation, ...] = ()
    name: str | None = None  # of the result; None: derived from the model's
    name_field: Literal["name", "suffix"] = "name"  # the request's field that held the name
    metadata: Mapping[str, str] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    webhook: Webhook | None = None  # None: the operator's
    deadline: float | None = None  # Unix seconds
    max_wall_minutes: float | None = None
    sent: Mapping[str, Any] = field(default_factory=dict)  # the request as it was sent, without secrets


@dataclass(frozen=True)
class SubmissionServices:
    """The services that checking a submission needs."""

    settings: Settings
    store: ModelStore
    jobs: Jobs
    files: FileStore
    checkers: ProcessPool  # child processes that read the beginning of files
    admit_check: Callable[[], AbstractAsyncContextManager[None]]  # admits one request that checks files; raises Busy
