"""/v1/audit: the log of changes, for admins."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from app.access.audit import AuditedChange, AuditEntry
from app.api.deps import AuditDep

router = APIRouter(tags=["Keys"])


class AuditObject(AuditedChange):
    id: str
    object: Literal["audit.entry"] = "audit.entry"
    created_at: float = Field(description="Unix time of the change, in seconds")


class AuditList(BaseModel):
    object: Literal["list"] = "list"
    data: list[AuditObject]
    has_more: bool


@router.get("/v1/audit")
def list_changes(
    log: AuditDep,
    after: Annotated[
        str | None,
        Query(max_length=64, pattern=r"^\d{1,16}-\d{1,16}$", description="Last id of the previous page"),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Maximum number of entries")] = 100,
) -> AuditList:
    """Lists the changes of jobs, files, models and keys that have succeeded, newest first.

    The latest 100,000 changes or so are kept.
    """
    found, has_more = log.page(after, limit)
    return AuditList(data=[_audit_object(entry) for entry in found], has_more=has_more)


def _audit_object(entry: AuditEntry) -> AuditObject:
    return AuditObject(id=entry.id, created_at=entry.time, **entry.change.model_dump())
