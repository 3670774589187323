from pathlib import Path

from app.commands.kept_data import describe_kept_data
from app.settings import Settings


def test_the_start_tells_what_expires_and_which_quotas_hold(tmp_path: Path) -> None:
    settings = Settings(var_dir=tmp_path / "none", disk_reserve_bytes=2**30, cache_bytes=2**30, keep_files_days=1.5)
    line = describe_kept_data(settings)
    assert "\n" not in line
    assert line.startswith(
        "Kept: checkpoints of ended jobs for 90 days; events and logs without end; uploads for 1.5 days;"
        " prepared data up to 1"
    )
    assert line.endswith("of uploads, 100 unfinished jobs")
    assert "no limit of uploads, no limit unfinished jobs" in describe_kept_data(
        settings.model_copy(update={"key_storage_bytes": 0, "key_jobs": 0})
    )
