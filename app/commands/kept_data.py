"""The line that tells at the start how long data are kept, and which quotas hold."""

from app.settings import Settings
from app.system.disk_space import DiskReserve, format_bytes


def describe_kept_data(settings: Settings) -> str:
    """Describes the expiry of data and the quotas of keys in one line."""
    kept = "; ".join(
        f"{what} {_days(days)}"
        for what, days in (
            ("checkpoints of ended jobs", settings.keep_checkpoints_days),
            ("events and logs", settings.keep_events_days),
            ("uploads", settings.keep_files_days),
        )
    )
    reserve = DiskReserve(settings.var_dir.absolute(), settings.disk_reserve_bytes).size
    storage = format_bytes(settings.key_storage_bytes) if settings.key_storage_bytes else "no limit"
    jobs = settings.key_jobs or "no limit"
    return (
        f"Kept: {kept}; prepared data up to {format_bytes(settings.cache_bytes)}. Kept free on the disk:"
        f" {format_bytes(reserve)}. Quotas of a named key: {storage} of uploads, {jobs} unfinished jobs"
    )


def _days(days: float) -> str:
    return f"for {days:g} days" if days else "without end"
