"""The log of changes: who has changed what, and when. A stream of Redis, so that all servers write one log."""

from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from app.jobs.connection import Client

AUDIT = "cloze:audit"
MAX_ENTRIES = 100_000  # the oldest ones are dropped beyond it


class AuditedChange(BaseModel):
    """A request that has changed something. It holds no body, no query and no secret."""

    model_config = ConfigDict(frozen=True)

    action: str = Field(description="The change, such as `create_job`")
    method: str = Field(description="Method of the request")
    path: str = Field(description="Path of the request, without its query")
    object_id: str | None = Field(description="Id of the object that was changed or made")
    key_id: str | None = Field(description="Id of the API key; null: an operator, or a server without keys")
    key_name: str | None = Field(description="Name of the API key; null: a server without keys")
    request_id: str | None = Field(description="Id of the request, as in `x-request-id`")
    address: str | None = Field(description="Address of the client, or of the proxy in front of the server")


class AuditEntry(NamedTuple):
    """An entry of the log. time: Unix seconds by the clock of Redis."""

    id: str
    time: float
    change: AuditedChange


class AuditLog:
    """Every call may raise `connection.StorageError` while Redis is away."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis

    def append(self, change: AuditedChange) -> None:
        self._redis.xadd(AUDIT, {"change": change.model_dump_json()}, maxlen=MAX_ENTRIES, approximate=True)

    def page(self, after: str | None, limit: int) -> tuple[list[AuditEntry], bool]:
        """Returns at most `limit` entries that are older than `after`, newest first, and whether there are more."""
        newest = f"({after}" if after else "+"
        found = self._redis.xrevrange(AUDIT, newest, "-", count=limit + 1)
        return [_entry(raw.decode(), fields) for raw, fields in found[:limit]], len(found) > limit


def _entry(entry_id: str, fields: dict[bytes, bytes]) -> AuditEntry:
    milliseconds = int(entry_id.partition("-")[0])
    return AuditEntry(entry_id, milliseconds / 1000, AuditedChange.model_validate_json(fields[b"change"]))
