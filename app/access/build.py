"""Builds the access control of a server from the settings."""

from dataclasses import dataclass

from app.access.audit import AuditLog
from app.access.guard import KeyGuard
from app.access.key_store import KeyStore
from app.access.keys import KeyLimits
from app.access.limiter import KeyLimiter
from app.jobs.connection import connect
from app.settings import Settings

_TIMEOUT = 2.0  # seconds of one call of Redis, which is repeated soon when it fails


@dataclass(frozen=True)
class Access:
    """The access control of a server. Without a Redis there is the check of the operator's keys only."""

    guard: KeyGuard
    keys: KeyStore | None = None
    limiter: KeyLimiter | None = None
    audit: AuditLog | None = None

    async def start(self) -> None:
        await self.guard.start()
        if self.limiter is not None:
            await self.limiter.start()

    async def stop(self) -> None:
        await self.guard.stop()
        if self.limiter is not None:
            await self.limiter.stop()


def build_access(settings: Settings, url: str | None) -> Access:
    """Builds the access control. url: of Redis; None if none was found."""
    defaults = KeyLimits(
        requests_per_minute=settings.key_requests_per_minute,
        concurrency=settings.key_concurrency,
        storage_bytes=settings.key_storage_bytes,
        jobs=settings.key_jobs,
    )
    redis = connect(url, retries=1, timeout=_TIMEOUT) if url else None
    keys = KeyStore(redis, keeps_admin=not settings.api_keys) if redis else None
    guard = KeyGuard(
        settings.api_keys, keys, required=settings.require_keys, defaults=defaults, var_dir=settings.var_dir
    )
    return Access(guard, keys, KeyLimiter(url) if url else None, AuditLog(redis) if redis else None)
