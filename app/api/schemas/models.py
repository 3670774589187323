"""Model objects: OpenAI's, with further fields."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from app.api.schemas.common import JsonBody
from app.api.schemas.modality import Modality
from app.jobs.held_out import HeldOutText
from app.store.store import ModelEntry
from app.types import Classifier, Task


class ModelObject(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="Unix time of the publication, in seconds")
    owned_by: str = Field("cloze", description="Id of the API key whose job made the model; `cloze` for other models")
    name: str = Field(description="Name of the model without its version")
    version: int = Field(description="Number of the version")
    versions: list[int] = Field(description="All stored versions, latest first")
    aliases: dict[str, int] = Field(description="Aliases of the model with their versions")
    modality: Modality
    architecture: str = Field(description="The model_type of the model's configuration")
    tasks: list[Task] = Field(description="Tasks that the model supports")
    parameters: int = Field(description="Number of parameters")
    loaded: bool = Field(description="Whether the model is in memory")
    memory_bytes: int | None = Field(
        description="Memory of the loaded model's weights in bytes; null if it is not loaded"
    )
    servers: list[str] | None = Field(
        None,
        description="Addresses of the servers where the model is placed, the first choice first; null if servers do not"
        " share the models. Every server answers, and loads the model if necessary",
    )
    default: bool = Field(description="Whether requests without `model` use this model")
    description: str = Field(description="The model in words")
    license: str | None = Field(description="Licence of the model, as its card states it")
    parents: list[str] = Field(description="The models that this one was trained from")
    job_id: str | None = Field(description="Id of the job that trained the model")
    classifier: Classifier | None = Field(description="Labels of a model that classifies; null for other models")
    metrics: dict[str, float] = Field(description="Metrics of the published weights on held-out data")
    max_length: int | None = Field(
        None, description="Maximum length of an input in tokens; null if the model is not loaded"
    )


class ModelDeleted(BaseModel):
    id: str
    object: Literal["model"] = "model"
    deleted: Literal[True] = True


class AliasRequest(JsonBody):
    version: Annotated[int, Field(strict=True, ge=1, le=999_999_999, description="Version that the alias stands for")]


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelObject]


class ModelExamples(BaseModel):
    object: Literal["list"] = "list"
    data: list[HeldOutText]


def model_object(
    model_id: str,
    entry: ModelEntry,
    *,
    versions: Sequence[int],
    aliases: dict[str, int],
    memory_bytes: int | None,
    servers: Sequence[str] | None,
    default: bool,
) -> ModelObject:
    manifest = entry.manifest
    return ModelObject(
        id=model_id,
        created=manifest.created,
        owned_by=manifest.owner or "cloze",
        name=entry.name,
        version=entry.version,
        versions=list(versions),
        aliases=aliases,
        modality=manifest.modality,
        architecture=manifest.architecture,
        tasks=list(manifest.tasks),
        parameters=manifest.parameters,
        loaded=memory_bytes is not None,
        memory_bytes=memory_bytes,
        servers=None if servers is None else list(servers),
        default=default,
        description=manifest.description,
        license=manifest.license,
        parents=list(manifest.parents),
        job_id=manifest.job_id,
        classifier=manifest.classifier,
        metrics=manifest.metrics,
    )
