"""transformers and huggingface_hub as processes with `HF_ENDPOINT` set to a real server: they load stored models."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from app.store.manifest import Manifest
from app.store.store import ModelStore
from app.types import ModalityName, Task
from tests.fakes.server import PATIENCE, serving
from tests.fakes.tiny_models import tiny_bert_folder

KEY = "hub-key"
HEADERS = {"authorization": f"Bearer {KEY}"}

LOAD = """
import hashlib, json, sys
from pathlib import Path
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError
from transformers import AutoModelForMaskedLM, AutoTokenizer

model = AutoModelForMaskedLM.from_pretrained("tiny")
tokenizer = AutoTokenizer.from_pretrained("tiny")
sha256 = lambda content: hashlib.sha256(content).hexdigest()
weights = {n: sha256(t.numpy().tobytes()) for n, t in model.state_dict().items()}
folder = Path(snapshot_download("acme/tiny", revision="1"))
again = [snapshot_download("acme/tiny", revision=revision) for revision in ("stable", folder.name)]
files = {p.relative_to(folder).as_posix(): sha256(p.read_bytes()) for p in folder.rglob("*") if p.is_file()}

def refused(call, error):
    try:
        call()
    except error:
        return True

api = HfApi()
refusals = [
    refused(lambda: api.model_info("acme/none"), RepositoryNotFoundError),
    refused(lambda: api.model_info("acme/tiny", revision="9"), RevisionNotFoundError),
    refused(lambda: api.hf_hub_download("acme/tiny", "none.json"), EntryNotFoundError),
    refused(lambda: api.hf_hub_download("acme/tiny", "config.json", revision="none"), RevisionNotFoundError),
]
print(json.dumps({
    "weights": weights, "ids": tokenizer("a lion")["input_ids"], "commit": folder.name,
    "same": [p == str(folder) for p in again], "files": files, "refusals": refusals,
}))
"""

READ = """
import json
from huggingface_hub import HfApi, HfFileSystem, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError

api, fs = HfApi(), HfFileSystem()
weights = fs.open("acme/tiny@1/model.safetensors", block_size=1000)
weights.seek(-10, 2)
try:
    api.model_info("acme/tiny", token="wrong")
except HfHubHTTPError as error:
    refusal = str(error)
print(json.dumps({
    "files": api.list_repo_files("acme/tiny"),
    "found": [each.path for each in api.get_paths_info("acme/tiny", ["config.json", "none", "1_Pooling"])],
    "branches": [each.name for each in api.list_repo_refs("acme/tiny").branches],
    "tags": {each.name: each.target_commit for each in api.list_repo_refs("acme/tiny").tags},
    "commits": [api.model_info("acme/tiny", revision=revision).sha for revision in ("1", "2")],
    "etag": get_hf_file_metadata(hf_hub_url("acme/tiny", "config.json")).etag,
    "listed": fs.ls("acme/tiny/1_Pooling", detail=False),
    "of alias": fs.glob("acme/tiny@stable/model.*"),
    "read": fs.cat("acme/tiny/config.json").decode(),
    "end": weights.read().hex(),
    "size": fs.info("acme/tiny@1/model.safetensors", refresh=True)["size"],
    "exist": [fs.exists("acme/tiny/config.json"), fs.exists("acme/tiny/none"), fs.isdir("acme/tiny/1_Pooling")],
    "refusal": refusal,
}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert_folder(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def store(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    store = ModelStore(tmp_path_factory.mktemp("store"))
    manifest = Manifest(modality=ModalityName.TEXT, architecture="bert", tasks=(Task.FILL_MASK,), parameters=1)
    for name in ("tiny", "acme/tiny", "docs/tiny"):
        store.publish(folder, manifest, name=name)
    nested = tmp_path_factory.mktemp("nested")
    (nested / "1_Pooling").mkdir()
    (nested / "1_Pooling" / "config.json").write_text("{}")
    (nested / "config.json").write_text("{}")
    store.publish(nested, manifest, name="acme/tiny")
    store.set_alias("acme/tiny", "stable", 1)
    return store


@pytest.fixture(scope="module")
def url(store: ModelStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    var = tmp_path_factory.mktemp("var")
    settings = Settings(var_dir=var, device="cpu", threads=1, default_model="tiny", api_keys=(KEY,))
    with serving(create_app(settings, store=store)) as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, headers=HEADERS, timeout=PATIENCE) as client:
        yield client


def run_client(url: str, script: str, home: Path) -> Any:
    settings = {"HF_ENDPOINT": url, "HF_HOME": str(home), "HF_TOKEN": KEY, "HF_HUB_OFFLINE": "0"}
    environment: Mapping[str, str] = {**os.environ, **settings, "TRANSFORMERS_OFFLINE": "0"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_unmodified_clients_load_stored_models(
    url: str, client: httpx.Client, store: ModelStore, folder: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    seen = run_client(url, LOAD, tmp_path)

    model = AutoModelForMaskedLM.from_pretrained(folder)
    assert seen["weights"] == {
        n: hashlib.sha256(t.numpy().tobytes()).hexdigest() for n, t in model.state_dict().items()
    }
    assert seen["ids"] == AutoTokenizer.from_pretrained(folder)("a lion")["input_ids"]
    entry = store.resolve("acme/tiny@1")
    manifest = hashlib.sha256((entry.path / "manifest.json").read_bytes()).hexdigest()
    assert seen["files"] == entry.manifest.files | {"manifest.json": manifest}
    assert seen["same"] == [True, True]
    assert seen["commit"] == client.get("/api/models/acme/tiny/revision/1").json()["sha"]
    assert seen["refusals"] == [True] * 4


def test_files_are_read_in_place(url: str, folder: Path, tmp_path: Path) -> None:
    weights = (folder / "model.safetensors").read_bytes()
    seen = run_client(url, READ, tmp_path)
    first, second = seen.pop("commits")
    assert "the API key is not valid" in seen.pop("refusal")
    assert seen == {
        "files": ["1_Pooling/config.json", "config.json", "manifest.json"],
        "found": ["config.json", "1_Pooling"],
        "branches": ["main"],
        "tags": {"1": first, "2": second, "stable": first},
        "etag": hashlib.sha256(b"{}").hexdigest(),
        "listed": ["acme/tiny/1_Pooling/config.json"],
        "of alias": ["acme/tiny@stable/model.safetensors"],
        "read": "{}",
        "end": weights[-10:].hex(),
        "size": len(weights),
        "exist": [True, False, True],
    }


def test_a_repository(client: httpx.Client) -> None:
    body = client.get("/api/models/acme/tiny").json()
    assert (body["id"], body["pipeline_tag"], body["private"]) == ("acme/tiny", "fill-mask", False)
    assert [each["rfilename"] for each in body["siblings"]] == ["1_Pooling/config.json", "config.json", "manifest.json"]
    assert body == client.get("/api/models/acme/tiny/revision/2").json()
    assert body == client.get(f"/api/models/acme/tiny/revision/{body['sha']}").json()
    assert body["sha"] != client.get("/api/models/acme/tiny/revision/stable").json()["sha"]


def test_a_tree(client: httpx.Client) -> None:
    def paths(place: str, **query: str) -> list[tuple[str, str]]:
        found = client.get(f"/api/models/acme/tiny/tree/{place}", params=query).json()
        return [(each["type"], each["path"]) for each in found]

    pooling, others = "1_Pooling/config.json", [("file", "config.json"), ("file", "manifest.json")]
    assert paths("main") == [("directory", "1_Pooling"), *others]
    assert paths("main", recursive="True") == [("file", pooling), *others]
    assert paths("main/1_Pooling") == [("file", pooling)]
    missing = client.get("/api/models/acme/tiny/tree/main/additional_chat_templates")
    assert (missing.status_code, missing.headers["x-error-code"]) == (404, "EntryNotFound")


def test_a_file_and_a_part_of_it(client: httpx.Client, folder: Path) -> None:
    path, content = "/acme/tiny/resolve/1/model.safetensors", (folder / "model.safetensors").read_bytes()
    whole, head = client.get(path), client.head(path)
    assert whole.content == content
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(content)))
    etag = f'"{hashlib.sha256(content).hexdigest()}"'
    assert head.headers["etag"] == whole.headers["etag"] == etag
    assert len(head.headers["x-repo-commit"]) == 40
    assert whole.headers["content-type"] == "application/octet-stream"
    rest = client.get(path, headers={"range": "bytes=100-", "if-range": etag})
    assert (rest.status_code, rest.content) == (206, content[100:])
    known = client.get(path, headers={"if-none-match": f'"other", W/{etag}', "range": "bytes=100-"})
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", etag)
    assert client.get(path, headers={"if-none-match": '"other"'}).content == content


def test_a_download_that_is_resumed(client: httpx.Client, folder: Path) -> None:
    path, content = "/acme/tiny/resolve/1/model.safetensors", (folder / "model.safetensors").read_bytes()
    beyond = {"range": f"bytes={len(content) + 5}-"}
    refused = client.get(path, headers=beyond)
    assert (refused.status_code, refused.headers["content-range"]) == (416, f"bytes */{len(content)}")
    # What the client has is of other content, which may have been longer: it gets the whole file.
    whole = client.get(path, headers={**beyond, "if-range": '"another"'})
    assert (whole.status_code, whole.content) == (200, content)
    date = client.head(path).headers["last-modified"]
    rest = client.get(path, headers={"range": "bytes=-7", "if-range": date})
    assert (rest.status_code, rest.content) == (206, content[-7:])


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/acme/none/resolve/main/config.json", "RepoNotFound"),
        ("/a..b@1/resolve/main/config.json", "RepoNotFound"),
        ("/acme/tiny/resolve/9/config.json", "RevisionNotFound"),
        ("/acme/tiny/resolve/refs%2Fpr%2F1/config.json", "RevisionNotFound"),
        ("/acme/tiny/resolve/main/none.json", "EntryNotFound"),
        ("/acme/tiny/resolve/main/..%2F1%2Fconfig.json", "EntryNotFound"),
        ("/api/models/acme/tiny/revision/refs%2Fpr%2F1", "RevisionNotFound"),
        ("/api/models/none", "RepoNotFound"),
    ],
)
def test_missing_things_are_named_as_the_hub_names_them(client: httpx.Client, path: str, code: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["x-error-code"]) == (404, code)
    assert answer.json()["error"]["code"] == "not_found"
    assert client.head(path).headers["x-error-code"] == code


def test_keys_are_needed_and_the_page_stays(url: str, client: httpx.Client) -> None:
    with httpx.Client(base_url=url, timeout=PATIENCE) as stranger:
        for path in ("/api/models/tiny", "/tiny/resolve/main/config.json", "/api/models/tiny/tree/main"):
            assert stranger.get(path).status_code == 401
        for path in ("/docs/tiny/resolve/main/config.json", "/static/tiny/resolve/main/config.json"):
            assert stranger.get(path).status_code == 404  # paths without a key never lead to models
        assert "<html" in stranger.get("/").text
        assert "swagger" in stranger.get("/docs").text
    assert client.get("/nothing").status_code == 404
    assert client.post("/tiny/resolve/main/config.json").headers["allow"] == "GET, HEAD, OPTIONS"
