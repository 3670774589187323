"""`cloze models export`, which writes the archive of the server from the store, and `cloze models push`."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from app import cli
from app.errors import InvalidValue
from app.store.archive import ModelArchive
from app.store.manifest import Manifest
from app.store.store import ModelEntry, ModelStore
from app.types import ModalityName, Task


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelEntry:
    monkeypatch.setenv("CLOZE_MODEL_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "source"
    source.mkdir()
    (source / "model.safetensors").write_bytes(b"weights")
    manifest = Manifest(modality=ModalityName.TEXT, architecture="bert", tasks=(Task.EMBED,), parameters=1)
    return ModelStore(tmp_path / "store").publish(source, manifest, name="org/tiny")


def test_a_version_is_exported_to_a_file_or_to_standard_output(entry: ModelEntry, tmp_path: Path) -> None:
    expected = b"".join(ModelArchive(entry).read())
    CliRunner().invoke(cli.app, ["models", "export", "org/tiny"], catch_exceptions=False)
    assert (tmp_path / "org-tiny-1.tar").read_bytes() == expected
    named = CliRunner().invoke(cli.app, ["models", "export", "org/tiny@1", "--output", "out.tar"])
    assert named.stderr == f"Exported org/tiny@1 to out.tar: {len(expected):,} bytes\n"
    assert (tmp_path / "out.tar").read_bytes() == expected
    piped = CliRunner().invoke(cli.app, ["models", "export", "org/tiny", "-o", "-"])
    assert piped.stdout_bytes == expected


def test_only_files_are_replaced(entry: ModelEntry, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="not a file"):
        CliRunner().invoke(cli.app, ["models", "export", "org/tiny", "-o", str(tmp_path)], catch_exceptions=False)


def test_a_push_needs_the_setting(entry: ModelEntry) -> None:
    with pytest.raises(InvalidValue, match="CLOZE_ALLOW_HUB=1"):
        CliRunner().invoke(cli.app, ["models", "push", "org/name", "org/tiny"], catch_exceptions=False)
