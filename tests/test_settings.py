import re
from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_core import PydanticUndefined

from app.settings import Settings

ROOT = Path(__file__).parents[1]
OF_THE_COMMAND_LINE = {"CLOZE_URL", "CLOZE_API_KEY"}


def documented() -> dict[str, str]:
    """variable → default, as the tables of docs/settings.md have them."""
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `?([^|`]+)`? \|", text, re.MULTILINE)
    assert len(rows) == len(dict(rows))
    return dict(rows)


def test_every_setting_has_a_row_and_every_row_a_setting() -> None:
    assert set(documented()) == {f"CLOZE_{name.upper()}" for name in Settings.model_fields} | OF_THE_COMMAND_LINE


def test_documented_defaults_are_the_real_ones() -> None:
    defaults = {f"CLOZE_{name.upper()}": field.default for name, field in Settings.model_fields.items()}
    assert PydanticUndefined not in defaults.values()
    words = {"None": "unset", "()": "none", "False": "false", "True": "true"}
    written = {name: words.get(str(default), str(default)) for name, default in defaults.items()}
    rows = documented()
    assert {name: rows[name] for name in written} == written


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOZE_PORT", "9000")
    monkeypatch.setenv("CLOZE_API_KEYS", " one, two,,")
    monkeypatch.setenv("CLOZE_VAR_DIR", "elsewhere")
    settings = Settings()
    assert (settings.port, settings.api_keys) == (9000, ("one", "two"))
    assert settings.jobs_dir == Path("elsewhere/jobs")


def test_an_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.setenv(f"CLOZE_{name.upper()}", "")
    assert Settings() == Settings.model_construct()


def test_the_store_is_a_folder_or_a_bucket() -> None:
    def store(value: str) -> object:
        return Settings(model_store=value).model_store

    assert store("models") == Path("models") and store("/srv/models") == Path("/srv/models")
    assert store("file:///srv/my%20models") == Path("/srv/my models")
    for address in ("s3://bucket", "s3://bucket/a/b", "gs://bucket", "az://container/x"):
        assert store(address) == address
    for wrong in ("s3://", "ftp://bucket", "file://host/models", "s3://bucket?x=1", "s3://key:secret@bucket"):
        with pytest.raises(ValidationError, match="s3://bucket/prefix"):
            store(wrong)


def test_settings_are_frozen_and_validated() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Settings(port=65536)
