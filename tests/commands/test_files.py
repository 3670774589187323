"""What `cloze files …` sends, and what it prints."""

from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from app import cli
from app.commands import files
from app.commands.client import ApiClient

FILE = {"id": "file-1", "filename": "a.smi", "bytes": 1234, "created_at": 0, "sha256": "ab" * 32}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    requests: list[tuple[str, str]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append((request.method, request.url.path))
        is_list = request.method == "GET" and request.url.path == "/v1/files"
        return httpx.Response(200, json={"data": [FILE]} if is_list else FILE)

    def connect(url: str | None, api_key: str | None) -> ApiClient:
        return ApiClient("http://cloze.test", api_key, transport=httpx.MockTransport(handle))

    monkeypatch.setattr(files, "ApiClient", connect)
    return requests


def test_files_are_listed_shown_and_deleted(sent: list[tuple[str, str]]) -> None:
    listed = CliRunner().invoke(cli.app, ["files", "list"]).output
    assert all(part in listed for part in ("file-1", "a.smi", "1,234", "abababababab"))
    assert '"sha256": "abab' in CliRunner().invoke(cli.app, ["files", "show", "file-1"]).output
    assert CliRunner().invoke(cli.app, ["files", "delete", "file-1", "file-2"], input="n\n").exit_code == 1
    deleted = CliRunner().invoke(cli.app, ["files", "delete", "file-1", "file-2", "--yes"])
    assert deleted.output == "Deleted file-1\nDeleted file-2\n"
    assert sent == [
        ("GET", "/v1/files"),
        ("GET", "/v1/files/file-1"),
        ("DELETE", "/v1/files/file-1"),
        ("DELETE", "/v1/files/file-2"),
    ]


def test_an_upload_is_kept(sent: list[tuple[str, str]], tmp_path: Path) -> None:
    (tmp_path / "a.smi").write_text("CCO")
    done = CliRunner().invoke(cli.app, ["files", "upload", str(tmp_path / "a.smi")])
    assert done.output == "Uploaded a.smi as file-1\n"
    assert [method for method, _ in sent] == ["POST", "GET"]
