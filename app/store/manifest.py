"""The manifest of a stored model: `manifest.json`, written last, so its presence proves completeness."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from app.types import Classifier, Task


class DataSource(BaseModel):
    """One file that the model was trained on, or made of."""

    model_config = ConfigDict(frozen=True)

    filename: str
    bytes: int
    sha256: str


class Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: int = 1
    name: str = ""  # filled by the store
    version: int = 0  # filled by the store
    created: int = 0  # Unix seconds, filled by the store
    modality: str  # its name; loading tells whether it is a registered one
    architecture: str  # model_type of the configuration: bert, modernbert, …
    tasks: tuple[Task, ...]
    unsupported: dict[str, str] = Field(default_factory=dict)  # task that models of its kind can do → why not this one
    parameters: int
    description: str = ""
    license: str | None = None
    origin: str | None = None  # the folder, or the hub id with its commit, that it was imported from
    parents: tuple[str, ...] = ()  # ids as name@version
    job_id: str | None = None  # the job that made it
    owner: str | None = None  # the id of the API key whose job made it; None: an operator's, or shipped
    publication: str | None = None  # what is published once, however often it is tried; unset: the job
    request: dict[str, Any] | None = None  # that job's exact request body
    data: tuple[DataSource, ...] = ()
    forward_path: str | None = None  # how batches of the model are run, proved by its import; unset: proved at its load
    converted_from: tuple[DataSource, ...] = ()  # checkpoint files that its safetensors were made of
    metrics: dict[str, float] = Field(default_factory=dict)
    chosen: dict[str, Any] = Field(default_factory=dict)  # what the job trained with
    verdict: dict[str, Any] | None = None  # on the job; unset for a checkpoint before its end
    classifier: Classifier | None = None  # of a model that classifies
    files: dict[str, str] = Field(default_factory=dict)  # file → sha256, filled by the store

    @field_validator("tasks")
    @classmethod
    def _complete(cls, tasks: tuple[Task, ...]) -> tuple[Task, ...]:
        """Adds scoring to models that fill masks: old manifests do not list it."""
        return (*tasks, Task.SCORE) if Task.FILL_MASK in tasks and Task.SCORE not in tasks else tasks

    @property
    def publication_id(self) -> str | None:
        return self.publication or self.job_id
