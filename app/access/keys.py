"""API keys: their records, their secrets, and what a caller may do with one."""

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

KeyScope = Literal["predict", "jobs", "models", "admin"]
SCOPES: tuple[KeyScope, ...] = get_args(KeyScope)
PREFIX = "cloze_"  # of every secret, so that scanners of repositories and logs recognise one

_SECRET_BYTES = 32
_SHOWN = len(PREFIX) + 4  # characters of a secret that its record keeps


class KeyLimits(BaseModel):
    """The limits of a key. None: the server's default. 0: no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests_per_minute: int | None = Field(None, ge=0, le=10**9, description="Requests in a minute")
    concurrency: int | None = Field(None, ge=0, le=10**6, description="Requests in progress at once")
    storage_bytes: int | None = Field(None, ge=0, le=2**53, description="Bytes of all uploaded files")
    jobs: int | None = Field(None, ge=0, le=10**6, description="Jobs that have not ended")

    def over(self, defaults: "KeyLimits") -> "KeyLimits":
        """Returns these limits, with the defaults for those that are not set."""
        return defaults.model_copy(update=self.model_dump(exclude_none=True))

    def describe(self) -> str:
        """Formats the limits in words."""
        words = {
            "requests_per_minute": "requests a minute",
            "concurrency": "requests at once",
            "storage_bytes": "bytes of files",
            "jobs": "jobs that have not ended",
        }
        set_limits = [f"{value:,} {words[name]}" for name, value in self.model_dump().items() if value]
        return ", ".join(set_limits) or "no limits"


class ApiKey(BaseModel):
    """The record of a key. Times are Unix seconds by the Redis server's clock."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    digest: str  # SHA-256 of the secret in hexadecimal; see `hash_secret`
    hint: str  # the beginning of the secret
    scopes: tuple[KeyScope, ...]
    limits: KeyLimits = KeyLimits()
    created_at: float = 0.0
    created_by: str | None = None  # the id of the key that made it; None: an operator's, or the command line
    expires_at: float | None = None
    last_used_at: float | None = None  # kept beside the record, with an accuracy of a minute

    def has_expired(self, now: float) -> bool:
        return self.expires_at is not None and now >= self.expires_at


@dataclass(frozen=True)
class Caller:
    """The sender of a request that has shown a key. owner: the id that its objects carry; None: the operator."""

    name: str
    scopes: frozenset[KeyScope]
    owner: str | None = None
    limits: KeyLimits = field(default_factory=KeyLimits)

    @property
    def is_admin(self) -> bool:
        return "admin" in self.scopes

    def may(self, scope: KeyScope) -> bool:
        return self.is_admin or scope in self.scopes


OPERATOR = Caller("operator", frozenset(SCOPES))


def make_secret() -> str:
    """Returns a new secret: the prefix, and 32 random bytes in base64 for URLs."""
    return PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def hash_secret(secret: bytes) -> str:
    """Returns the SHA-256 of a secret.

    A slow hash protects passwords, which can be guessed. A secret of 256 random bits cannot, so a fast hash is enough,
    and every request may compute it.
    """
    return hashlib.sha256(secret).hexdigest()


def shown_part(secret: str) -> str:
    """Returns the beginning of a secret, by which its user recognises it."""
    return secret[:_SHOWN]
