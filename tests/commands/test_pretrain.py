"""What `cloze pretrain` sends."""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from app import cli
from app.commands import pretrain
from app.commands.client import ApiClient
from app.commands.folders import pack_folder
from app.errors import InvalidValue

NAMED = ["--evaluation", "ftjob-1", "--evaluation", "ftjob-2"]


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
    done = CliRunner().invoke(cli.app, ["pretrain", "a.jsonl=2.5", "b.jsonl", "c=3", "-m", "bert-tiny", *NAMED])
    assert done.exit_code == 0, done.output
    assert sent[0]["training_files"] == [{"id": "file-1", "weight": 2.5}, "file-2", "file-3"]
    assert sent[0]["evaluations"] == ["ftjob-1", "ftjob-2"]


def test_addresses_are_left_to_the_server(sent: list[dict[str, Any]]) -> None:
    files = ["hf://datasets/owner/name/a.jsonl=2", "https://a.test/b.txt?part=2"]
    done = CliRunner().invoke(cli.app, ["pretrain", *files, "--validation", "s3://bucket/c.txt", "-m", "bert-tiny"])
    assert done.exit_code == 0, done.output
    assert sent[0]["training_files"] == [{"id": "hf://datasets/owner/name/a.jsonl", "weight": 2.0}, files[1]]
    assert sent[0]["validation_file"] == "s3://bucket/c.txt"


def test_the_server_chooses_the_method_unless_it_is_named(sent: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"")
    for named in ([], ["--method", "simmim"]):
        options = ["pretrain", str(tmp_path / "a.zip"), "-m", "mae-tiny", "--max-steps", "3", *named]
        assert CliRunner().invoke(cli.app, options).exit_code == 0
    assert "method" not in sent[0] and sent[1]["method"] == {"type": "simmim"}
    assert sent[0]["hyperparameters"] == sent[1]["hyperparameters"] == {"max_steps": 3}


def test_resources_are_named(sent: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"")
    command = ["pretrain", str(tmp_path / "a.zip"), "-m", "mae-tiny", "--resource", "device=cuda"]
    assert CliRunner().invoke(cli.app, [*command, "--resource", "nodes=2"]).exit_code == 0
    assert sent[0]["resources"] == {"device": "cuda", "nodes": 2}
    refused = CliRunner().invoke(cli.app, [*command, "--resource", "nodes"])
    assert refused.exit_code and "--resource takes KEY=VALUE" in str(refused.exception or refused.output)


@pytest.mark.parametrize("weight", ["0", "-1", "nan", "inf"])
def test_a_weight_is_a_number_above_zero(weight: str) -> None:
    with pytest.raises(InvalidValue, match="above 0"):
        pretrain.parse_file(f"missing.jsonl={weight}")


def test_what_is_no_weight_belongs_to_the_name() -> None:
    assert pretrain.parse_file("missing=x.jsonl") == ("missing=x.jsonl", None)
    assert pretrain.parse_file("https://a.test/b?part=2") == ("https://a.test/b?part=2", None)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 1e-3), (".5", 0.5), ("1_000", 1000), ("True", True), ("false", False), ("auto", "auto"), ("NaN", "NaN")],
)
def test_a_setting_is_a_value_of_json(text: str, value: Any) -> None:
    found = pretrain.parse_setting(f"name={text}")
    assert found == ("name", value) and type(found[1]) is type(value)


def test_a_folder_is_packed_to_the_bytes_that_the_page_makes_of_it(tmp_path: Path) -> None:
    """tests/page/tar.test.js has the same files and the same digest."""
    texts = {
        "b/two.txt": "two",
        ".hidden": "no",
        "größe.txt": "x" * 512,
        "long/" * 30 + "name.txt": "deep",
        "b.txt": "one",
    }
    for name, text in texts.items():
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text(text)
    pack_folder(tmp_path / "data", tmp_path / "data.tar")
    digest = hashlib.sha256((tmp_path / "data.tar").read_bytes()).hexdigest()
    assert digest == "add5962827a0bc0544d11762259e4277e62b868ee980cfd66ad24bd2b89e98b9"


class Server:
    """Stores uploads, and answers jobs with `answer`."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.requests: list[tuple[str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.uploads: list[bytes] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append((request.method, request.url.path))
        if (request.method, request.url.path) == ("POST", "/v1/files"):
            self.uploads.append(request.read())
            return httpx.Response(200, json={"id": f"file-{len(self.uploads)}"})
        if request.method == "POST":
            self.bodies.append(json.loads(request.content))
            return self.answer
        return httpx.Response(200, json={})

    @property
    def deleted(self) -> list[str]:
        return [path for method, path in self.requests if method == "DELETE"]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Server]:
    def start(status: int, answer: dict[str, Any]) -> Server:
        server = Server(httpx.Response(status, json=answer))

        def connect(url: str | None, api_key: str | None) -> ApiClient:
            return ApiClient("http://cloze.test", api_key, transport=httpx.MockTransport(server))

        monkeypatch.setattr(pretrain, "ApiClient", connect)
        return server

    return start


REFUSED = {"error": {"message": "training_file: no", "type": "invalid_request_error", "code": "invalid_data"}}


def test_uploads_of_a_refused_job_are_deleted(serve: Callable[..., Server], tmp_path: Path) -> None:
    for name in ("a.smi", "b.smi"):
        (tmp_path / name).write_text("CCO")
    files = [str(tmp_path / name) for name in ("a.smi", "b.smi")]
    server = serve(422, REFUSED)
    assert CliRunner().invoke(cli.app, ["pretrain", *files, "-m", "bert-tiny"]).exit_code == 1
    assert server.deleted == ["/v1/files/file-1", "/v1/files/file-2"]
    server = serve(200, {"id": "ftjob-1"})
    assert CliRunner().invoke(cli.app, ["pretrain", *files, "-m", "bert-tiny"]).exit_code == 0
    assert server.deleted == []


PREVIEW = {
    "filename": "a.smi",
    "use": "training_file",
    "items": 3,
    "sampled": True,
    "read_as": {"sequences": 1},
    "first_items": [{"text": "CCO", "name": "ethanol", "length": 3}],
    "lengths": {"unit": "characters", "min": 1, "median": 3, "p95": 3, "max": 1234},
    "alphabet": {"size": 2, "characters": [{"character": "C", "count": 5}, {"character": "O", "count": 1}]},
    "duplicate_share": 0.25,
    "header_fields": [{"name": "OS", "values": 2, "first": ["Homo sapiens"]}],
    "left_out": [{"reason": "empty", "count": 2, "example": "a.smi, line 4"}],
    "notes": ["A note."],
}


def test_a_dry_run_shows_the_files_and_leaves_nothing(serve: Callable[..., Server], tmp_path: Path) -> None:
    (tmp_path / "a.smi").write_text("CCO ethanol")
    server = serve(200, {"previews": [PREVIEW], "estimate": {"documents": 3, "tokens": 9, "seconds": None}})
    options = ["--dry-run", "--text-column", "smiles", "--documents", "lines"]
    done = CliRunner().invoke(cli.app, ["pretrain", str(tmp_path / "a.smi"), "-m", "bert-tiny", *options])
    assert done.exit_code == 0, done.output
    assert ("POST", "/v1/pretraining/jobs/validate") in server.requests and server.deleted == ["/v1/files/file-1"]
    assert server.bodies[0]["hyperparameters"] == {"text_column": "smiles", "documents": "lines"}
    assert done.stdout.splitlines() == [
        "a.smi: about 3 items, read as sequences",
        "  Only the beginning of the file was read.",
        "  'CCO'  (ethanol)",
        "  length in characters: min 1, median 3, p95 3, max 1,234",
        "  alphabet of 2 characters: 'C' 5 'O' 1",
        "  duplicates: 25.0%",
        "  header field OS: 2 values, 'Homo sapiens'",
        "  left out: 2 empty (a.smi, line 4)",
        "  A note.",
        "",
        "The job: about 3 items, 9 tokens.",
    ]


def test_a_folder_is_uploaded_as_one_archive(serve: Callable[..., Server], tmp_path: Path) -> None:
    folder = tmp_path / "mol"
    (folder / "sub").mkdir(parents=True)
    (folder / ".git").mkdir()
    for name in ("b.smi", "sub/a.smi", ".hidden", ".git/config"):
        (folder / name).write_text(name)
    (folder / "link").symlink_to("b.smi")
    server = serve(200, {"id": "ftjob-1"})
    done = CliRunner().invoke(cli.app, ["pretrain", str(folder), "-m", "bert-tiny"])
    assert done.exit_code == 0, done.output
    assert "2 files, 0.0 MB; left out: 2 hidden, 1 links" in done.stderr
    _, _, part = server.uploads[0].partition(b'filename="mol.tar"')
    with tarfile.open(fileobj=io.BytesIO(part.partition(b"\r\n\r\n")[2])) as archive:
        assert archive.getnames() == ["b.smi", "sub/a.smi"]


def test_a_folder_always_gives_the_same_bytes_and_must_have_files(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with pytest.raises(InvalidValue, match="contains no files"):
        pack_folder(folder, tmp_path / "a.tar")
    (folder / "x.txt").write_text("lion")
    pack_folder(folder, tmp_path / "a.tar")
    os.utime(folder / "x.txt", (1, 1))
    pack_folder(folder, tmp_path / "b.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
