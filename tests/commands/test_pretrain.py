"""What `cloze pretrain` sends."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from app import cli
from app.commands import pretrain
from app.commands.client import ApiClient
from app.errors import InvalidValue


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The bodies of the jobs that were asked for; uploaded files are named file-1, file-2, …"""
    bodies: list[dict[str, Any]] = []
    uploads: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/files":
            uploads.append(request)
            return httpx.Response(200, json={"id": f"file-{len(uploads)}"})
        if request.method == "POST":
            bodies.append(json.loads(request.content))
        return httpx.Response(200, json={"id": "ftjob-1"})

    def connect(url: str | None, api_key: str | None) -> ApiClient:
        return ApiClient("http://cloze.test", api_key, transport=httpx.MockTransport(handle))

    monkeypatch.setattr(pretrain, "ApiClient", connect)
    return bodies


def test_files_have_weights(sent: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.jsonl", "b.jsonl", "c=3"):
        Path(name).write_text("{}")
    done = CliRunner().invoke(cli.app, ["pretrain", "a.jsonl=2.5", "b.jsonl", "c=3", "-m", "bert-tiny"])
    assert done.exit_code == 0, done.output
    assert sent[0]["training_files"] == [{"id": "file-1", "weight": 2.5}, "file-2", "file-3"]


def test_the_server_chooses_the_method_unless_it_is_named(sent: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"")
    for named in ([], ["--method", "simmim"]):
        options = ["pretrain", str(tmp_path / "a.zip"), "-m", "mae-tiny", "--max-steps", "3", *named]
        assert CliRunner().invoke(cli.app, options).exit_code == 0
    assert "method" not in sent[0] and sent[1]["method"] == {"type": "simmim"}
    assert sent[0]["hyperparameters"] == sent[1]["hyperparameters"] == {"max_steps": 3}


@pytest.mark.parametrize("weight", ["0", "-1", "nan", "inf"])
def test_a_weight_is_a_number_above_zero(weight: str) -> None:
    with pytest.raises(InvalidValue, match="above 0"):
        pretrain.parse_file(f"missing.jsonl={weight}")


def test_what_is_no_weight_belongs_to_the_name() -> None:
    assert pretrain.parse_file("missing=x.jsonl") == (Path("missing=x.jsonl"), None)
