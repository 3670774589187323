"""Files that a job writes while it runs."""

from typing import Literal

from pydantic import BaseModel, Field


class ArtifactObject(BaseModel):
    object: Literal["pretraining.job.artifact"] = "pretraining.job.artifact"
    name: str = Field(description="Name of the file")
    bytes: int
    created_at: int


class ArtifactList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ArtifactObject]
