"""A job's events and checkpoints: read in pages, written only inside a record's transaction.

Events are a Redis stream, so their ids increase strictly, also with several writers.
"""

import re
from collections.abc import Sequence
from typing import Any, Literal

import orjson

from app.errors import InvalidValue
from app.jobs import metrics
from app.jobs.connection import Client
from app.jobs.spec import Checkpoint, JobEvent

MANY_CHECKPOINTS = 1000  # a job keeps far fewer
SYSTEM_PREFIX = "system/"  # of metrics that tell of the machine, not of the training

_DIGITS = "[0-9]{0,18}"  # further ones, so that a number is below 2^64, the largest that Redis takes

Level = Literal["info", "warn", "error"]
EventType = Literal["message", "metrics"]
Order = Literal["asc", "desc"]


class NewEvent:
    """An event that has no id yet; it gets one, and its time, when its transaction commits."""

    def __init__(
        self, message: str, level: Level = "info", type: EventType = "message", data: dict[str, Any] | None = None
    ) -> None:
        self.message, self.level, self.type, self.data = message, level, type, data or {}


class EventLog:
    def __init__(self, redis: Client) -> None:
        self._redis = redis

    def append(self, pipe: Client, job_id: str, event: NewEvent, now: float) -> None:
        fields = {"level": event.level, "type": event.type, "message": event.message, "data": orjson.dumps(event.data)}
        pipe.xadd(events_key(job_id), fields)
        if event.type == "metrics":
            metrics.append(pipe, job_id, event.data, now)

    def page(self, job_id: str, after: str | None, limit: int, order: Order) -> tuple[list[JobEvent], bool]:
        """Returns at most `limit` events beyond `after` in the given order, and whether there are more."""
        cursor = f"({entry_id(job_id, after)}" if after else None
        key = events_key(job_id)
        if order == "asc":
            entries = self._redis.xrange(key, min=cursor or "-", count=limit + 1)
        else:
            entries = self._redis.xrevrange(key, max=cursor or "+", count=limit + 1)
        return [to_event(job_id, *entry) for entry in entries[:limit]], len(entries) > limit

    def add_checkpoint(self, pipe: Client, job_id: str, checkpoint: Checkpoint) -> None:
        key = _checkpoints_key(job_id)
        pipe.zremrangebyscore(key, checkpoint.step, checkpoint.step)  # a step redone after a resume
        pipe.zadd(key, {checkpoint.model_dump_json(): checkpoint.step})

    def remove_checkpoints(self, pipe: Client, job_id: str, steps: Sequence[int]) -> None:
        for step in steps:
            pipe.zremrangebyscore(_checkpoints_key(job_id), step, step)

    def checkpoints(self, job_id: str, after: str | None, limit: int) -> tuple[list[Checkpoint], bool]:
        """Newest first, as OpenAI lists them; `after` is a checkpoint's id."""
        top = f"({_checkpoint_step(job_id, after)}" if after else "+inf"
        found = self._redis.zrevrangebyscore(_checkpoints_key(job_id), top, "-inf", start=0, num=limit + 1)
        return [Checkpoint.model_validate_json(c) for c in found[:limit]], len(found) > limit


def checkpoint_id(job_id: str, step: int) -> str:
    return f"ftckpt-{_suffix(job_id)}-{step}"


def _suffix(job_id: str) -> str:
    return job_id.removeprefix("ftjob-")


def events_key(job_id: str) -> str:
    return f"cloze:job:{job_id}:events"


def _checkpoints_key(job_id: str) -> str:
    return f"cloze:job:{job_id}:checkpoints"


def entry_id(job_id: str, event_id: str) -> str:
    """An event's id within its stream. Raises InvalidValue if it is not an event of the job."""
    match = re.fullmatch(rf"ftevent-{re.escape(_suffix(job_id))}-([1-9]{_DIGITS}-[0-9]{_DIGITS})", event_id)
    if match is None:
        raise InvalidValue(f"'{event_id}' is not an event of job '{job_id}'", param="after")
    return match[1]


def _checkpoint_step(job_id: str, identifier: str) -> int:
    match = re.fullmatch(rf"ftckpt-{re.escape(_suffix(job_id))}-([0-9]{_DIGITS})", identifier)
    if match is None:
        raise InvalidValue(f"'{identifier}' is not a checkpoint of job '{job_id}'", param="after")
    return int(match[1])


def to_event(job_id: str, entry_id: bytes, fields: dict[bytes, bytes]) -> JobEvent:
    entry = entry_id.decode()
    return JobEvent(
        id=f"ftevent-{_suffix(job_id)}-{entry}",
        created_at=int(entry.split("-")[0]) / 1000,  # the stream's ids begin with the server's clock
        level=fields[b"level"].decode(),
        type=fields[b"type"].decode(),
        message=fields[b"message"].decode(),
        data=orjson.loads(fields[b"data"]),
    )
