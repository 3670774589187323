from pathlib import Path

import pytest

from app.jobs.privacy import hide_from_others


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_folders_are_hidden_from_others_and_stay_open_to_the_group(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "var" / "new"
    old.mkdir()
    old.chmod(0o755)
    hide_from_others([old, new])
    assert (mode(old), mode(new) & 0o007) == (0o750, 0)


def test_a_folder_of_another_user_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    tmp_path.chmod(0o755)
    monkeypatch.setattr(Path, "chmod", refuse)
    hide_from_others([tmp_path])
    assert "another user" in caplog.text
