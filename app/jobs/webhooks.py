"""The outbox of webhooks: what is to be told, written in the transaction of what has happened.

Keys: `cloze:job:<id>:webhooks` is a hash of the job's deliveries; `cloze:webhooks` has those that are
yet to be made, as "<job> <delivery>", by when. `webhook_sender` makes them.
"""

import base64
import hashlib
import hmac
import secrets
from typing import Literal

import orjson
from pydantic import BaseModel, ConfigDict

from app.jobs.connection import Client
from app.jobs.spec import Job

OUTBOX = "cloze:webhooks"
TYPE_PREFIX = "fine_tuning.job."  # OpenAI's: fine_tuning.job.succeeded
SECRET_PREFIX = "whsec_"  # noqa: S105 - what secrets begin with, not one
_SECRET_BYTES = range(24, 65)


class Delivery(BaseModel):
    """One change of state, told to one address. Times are Unix seconds."""

    model_config = ConfigDict(frozen=True)

    id: str  # the same at every attempt, so that a receiver can tell a repetition
    type: str
    created_at: float
    body: str  # as it is sent
    status: Literal["pending", "delivered", "failed"] = "pending"
    attempts: int = 0
    last_attempt_at: float | None = None
    next_attempt_at: float | None = None
    response_status: int | None = None  # of the last attempt, if it was answered
    error: str | None = None  # of the last attempt


def enqueue(pipe: Client, job: Job, now: float) -> None:
    """To be called for every change of state."""
    webhook = job.spec.webhook
    if webhook is None or (webhook.events and job.state not in webhook.events):
        return
    identifier = f"evt_{secrets.token_hex(12)}"
    kind = f"{TYPE_PREFIX}{job.state}"
    data = {
        "id": job.id,
        "status": job.state,
        "name": job.spec.name,
        "kind": job.spec.kind,
        "model": job.spec.source,
        "fine_tuned_model": job.result_model,
        "error": job.error.model_dump() if job.error else None,
        "metadata": job.spec.metadata,
    }
    body = {"id": identifier, "object": "event", "type": kind, "created_at": int(now), "data": data}
    delivery = Delivery(id=identifier, type=kind, created_at=now, body=orjson.dumps(body).decode(), next_attempt_at=now)
    pipe.hset(deliveries_key(job.id), identifier, delivery.model_dump_json())
    pipe.zadd(OUTBOX, {f"{job.id} {identifier}": now})


class Webhooks:
    def __init__(self, redis: Client) -> None:
        self._redis = redis

    def deliveries(self, job_id: str) -> list[Delivery]:
        """Newest first."""
        found = [Delivery.model_validate_json(raw) for raw in self._redis.hvals(deliveries_key(job_id))]
        return sorted(found, key=lambda delivery: delivery.created_at, reverse=True)


def deliveries_key(job_id: str) -> str:
    return f"cloze:job:{job_id}:webhooks"


def signing_key(secret: str) -> bytes:
    """Raises ValueError unless it is `whsec_` and 24 to 64 bytes in base64."""
    message = f"expected {SECRET_PREFIX} and {_SECRET_BYTES[0]} to {_SECRET_BYTES[-1]} random bytes in base64"
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError as e:
        raise ValueError(message) from e
    if not secret.startswith(SECRET_PREFIX) or len(key) not in _SECRET_BYTES:
        raise ValueError(message)
    return key


def sign_delivery(secret: str, identifier: str, timestamp: int, body: str) -> dict[str, str]:
    """The three headers of Standard Webhooks 1.0 (standardwebhooks.com), which OpenAI's client verifies."""
    content = f"{identifier}.{timestamp}.{body}".encode()
    signature = base64.b64encode(hmac.digest(signing_key(secret), content, hashlib.sha256)).decode()
    return {
        "webhook-id": identifier,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }
