"""Files that a running job creates, such as pictures."""

import mimetypes
from typing import Annotated

from fastapi import APIRouter, Path, Response

from app.api.deps import JobsDep, ServicesDep
from app.api.openapi import PICTURE
from app.api.params import JobId
from app.api.schemas.job_artifacts import ArtifactList, ArtifactObject
from app.api.wire.ranges import RangedFile
from app.jobs.artifacts import JobArtifacts


def list_artifacts(job_id: JobId, services: ServicesDep, jobs: JobsDep) -> ArtifactList:
    """Lists a job's files by step. Each evaluation adds predictions for held-out items: a picture, or JSON for text."""
    jobs.get(job_id)
    found = JobArtifacts(services.settings.jobs_dir, job_id).list()
    return ArtifactList(data=[ArtifactObject(name=a.name, bytes=a.bytes, created_at=int(a.created_at)) for a in found])


def get_artifact(
    job_id: JobId,
    name: Annotated[str, Path(max_length=255, description="Name of the artifact")],
    services: ServicesDep,
    jobs: JobsDep,
) -> RangedFile:
    """Returns a file of the job with its media type."""
    jobs.get(job_id)
    path = JobArtifacts(services.settings.jobs_dir, job_id).path(name)
    return RangedFile(path, media_type=mimetypes.guess_type(name)[0] or "application/octet-stream")


def build_router(prefix: str, tag: str) -> APIRouter:
    """Builds the routes of artifacts under `prefix`."""
    router = APIRouter(prefix=prefix, tags=[tag])
    router.get("/{job_id}/artifacts")(list_artifacts)
    router.get("/{job_id}/artifacts/{name}", response_class=Response, responses=PICTURE)(get_artifact)
    return router
