"""Builds the parts of the package from the settings."""

from app.access.guard import KeyGuard
from app.access.key_store import KeyStore
from app.access.keys import KeyLimits
from app.settings import Settings


def build_guard(settings: Settings, keys: KeyStore | None) -> KeyGuard:
    """Builds the check of keys. keys: None if no Redis was found."""
    defaults = KeyLimits(
        requests_per_minute=settings.key_requests_per_minute,
        concurrency=settings.key_concurrency,
        storage_bytes=settings.key_storage_bytes,
        jobs=settings.key_jobs,
    )
    return KeyGuard(
        settings.api_keys, keys, required=settings.require_keys, defaults=defaults, var_dir=settings.var_dir
    )
