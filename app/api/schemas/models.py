"""Model objects: OpenAI's, with further fields."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from app.api.schemas.common import Body
from app.api.schemas.modality import Modality
from app.jobs.held_out import HeldOutText
from app.store.store import ModelEntry
from app.types import Task


class ModelObject(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "cloze"
    name: str
    version: int
    versions: list[int] = Field(description="All stored versions, latest first")
    aliases: dict[str, int]
    modality: Modality
    architecture: str
    tasks: list[Task]
    parameters: int
    loaded: bool
    memory_bytes: int | None = Field(description="Bytes of the model's weights while it is loaded")
    default: bool
    description: str
    license: str | None
    parents: list[str] = Field(description="The models that this one was trained from")
    job_id: str | None = Field(description="Id of the job that trained the model")
    metrics: dict[str, float]
    max_length: int | None = Field(None, description="Longest input in tokens; known once the model is loaded")


class ModelDeleted(BaseModel):
    id: str
    object: Literal["model"] = "model"
    deleted: Literal[True] = True


class AliasRequest(Body):
    version: Annotated[int, Field(strict=True, ge=1, le=999_999_999)]


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
    default: bool,
) -> ModelObject:
    manifest = entry.manifest
    return ModelObject(
        id=model_id,
        created=manifest.created,
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
        default=default,
        description=manifest.description,
        license=manifest.license,
        parents=list(manifest.parents),
        job_id=manifest.job_id,
        metrics=manifest.metrics,
    )
