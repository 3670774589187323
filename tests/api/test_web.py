"""The page as it is served: types, caching, its policy, and nothing but its own files."""

import hashlib
import json
import re
from collections.abc import Callable

import httpx
import pytest
from fastapi.testclient import TestClient

from app.web import STATIC

MakeClient = Callable[..., TestClient]
TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    return make_client()


def test_the_page_needs_no_key_and_its_files_are_there(make_client: MakeClient) -> None:
    client = make_client(api_keys=["secret"])
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    addresses = re.findall(r'(?:src|href)="(static/[^"]+)"', page.text)
    assert len(addresses) > 5
    for address in addresses:
        file = client.get(f"/{address}")
        assert file.status_code == 200
        assert file.headers["content-type"] == TYPES["." + address.rpartition(".")[2]]
    assert client.get("/v1/models").status_code == 401


def test_every_import_leads_to_a_file(client: TestClient) -> None:
    for file in STATIC.rglob("*.js"):
        for target in re.findall(r'(?:\bfrom|^import)\s*"([^"\s]+)"', file.read_text(), re.M):
            assert target.startswith("."), f"{file.name} imports {target}, which no browser finds"
            assert (file.parent / target).resolve().is_file(), f"{file.name} imports {target}"


def test_the_policy_allows_this_server_only(client: TestClient) -> None:
    for path in ("/", "/static/x/main.js"):
        headers = client.get(path).headers
        policy = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["worker-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
        assert not re.search(r"unsafe|https?:|\*", headers["content-security-policy"])
        assert headers["x-content-type-options"] == "nosniff"
    text = client.get("/").text
    assert not re.search(r"<script>|<style|style=|\son\w+=", text)


def test_files_are_kept_for_as_long_as_they_are_the_same(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["cache-control"] == "no-cache"
    again = client.get("/", headers={"if-none-match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    found = re.search(r"static/([0-9a-f]+)/main\.js", page.text)
    assert found is not None
    assert "immutable" in client.get(f"/static/{found[1]}/main.js").headers["cache-control"]
    assert client.get("/static/older/main.js").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "../__init__.py",
        "..%2f__init__.py",
        "%2e%2e/README.md",
        "/etc/passwd",
        "",
        "core",
        "nothing.js",
        "%00.js",
        "a" * 300 + ".js",
        "a" * 5000,
    ],
)
def test_nothing_else_is_given_away(client: TestClient, path: str) -> None:
    answer = client.get(f"/static/x/{path}")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_odd_ranges_are_answered_in_the_envelope(client: TestClient) -> None:
    def ask(given: str) -> httpx.Response:
        return client.get("/static/x/main.js", headers={"range": given})

    whole = ask("bytes=0-")
    assert whole.status_code == 206
    for far in ("bytes=99999999999-", f"bytes={'9' * 5000}-", f"bytes={'9' * 5000}-{'9' * 5000}"):
        assert (ask(far).status_code, ask(far).json()["error"]["code"]) == (416, "range_not_satisfiable")
    for long in (f"bytes=0-{'9' * 5000}", f"bytes=-{'9' * 5000}"):
        assert (ask(long).status_code, ask(long).content) == (206, whole.content)
    assert ask(f"bytes={'0' * 5000}1-2").content == whole.content[1:3]
    for whole_anyway in ("bytes=2-1", "bytes=-", "lines=1-2", "bytes", "bytes=0-1,3-4"):
        assert (ask(whole_anyway).status_code, ask(whole_anyway).content) == (200, whole.content)


def test_vendored_files_are_those_of_the_lock_file() -> None:
    vendor = STATIC / "vendor"
    packages = json.loads((vendor / "lock.json").read_text())["packages"]
    locked = {name: digest for package in packages.values() for name, digest in package["sha256"].items()}
    files = [file for file in vendor.iterdir() if not file.name.endswith(".d.ts")]  # these types are written by hand
    there = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    assert there.pop("lock.json") and there == locked
    assert all(any(name.endswith("LICENSE.txt") for name in package["files"]) for package in packages.values())
