"""Remote files, from servers with every fault that they have."""

import hashlib
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.datasets.documents import read_documents, read_open
from app.datasets.remote.download import download
from app.datasets.remote.files import find_remote, is_remote
from app.datasets.remote.http import open_range
from app.datasets.remote.hub_lists import expand_hub_address
from app.datasets.remote.reading import RemoteReader
from app.datasets.remote.s3 import S3Service
from app.errors import EmptyInput, FileNotFound, Forbidden, InvalidData, InvalidValue, NotReady, TooLarge
from app.system.remote_access import RemoteAccess
from app.types import RemoteFile
from tests.fakes.file_server import FileServer, serve_files

TEXT = b"".join(b"The lions hunt zebra number %d.\n" % number for number in range(20_000))
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def to_loopback(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serve_files(files={"/a.txt": TEXT}, etags={"/a.txt": '"1"'}) as served:
        yield served


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' environment keeps huggingface_hub from the hub; here the hub is local."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


def access_to(server: FileServer, **changes: Any) -> RemoteAccess:
    hosts = (f"data.test:{server.port}", f"127.0.0.1:{server.port}")
    return RemoteAccess(**{"hosts": hosts, "allow_private": True, **changes})


def find(server: FileServer, path: str = "/a.txt", **changes: Any) -> RemoteFile:
    return find_remote(server.url(path), access_to(server, **changes), resolver=to_loopback)


def fetch(server: FileServer, file: RemoteFile, folder: Path, **options: Any) -> bytes:
    folder.mkdir(exist_ok=True)
    options = {"resolver": to_loopback, "pause": lambda seconds: None, **options}
    download(file, access_to(server), folder, **options)
    return (folder / "content").read_bytes()


@pytest.mark.parametrize(
    ("name", "remote"), [("https://a/b", True), ("hf://a", True), ("file-0a1b", False), ("s3", False)]
)
def test_addresses_are_told_from_ids(name: str, remote: bool) -> None:
    assert is_remote(name) is remote


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_is_pinned_and_copied(server: FileServer, tmp_path: Path, ranges: bool) -> None:
    server.ranges = ranges
    file = find(server)
    assert (file.filename, file.bytes, file.etag) == ("a.txt", len(TEXT), '"1"')
    assert fetch(server, file, tmp_path) == TEXT
    assert (tmp_path / "sha256").read_text() == hashlib.sha256(TEXT).hexdigest()


def test_what_the_operator_does_not_allow_is_forbidden(server: FileServer) -> None:
    for changes, message in [
        ({"hosts": ()}, "CLOZE_DATA_HOSTS"),
        ({"hosts": ("data.test",)}, "is not among the hosts"),  # another port
        ({"allow_private": False}, "not public"),
    ]:
        with pytest.raises(Forbidden, match=message):
            find(server, **changes)
    assert not server.asked
    with pytest.raises(Forbidden, match="CLOZE_ALLOW_HUB"):
        find_remote("hf://datasets/owner/name/a.txt", access_to(server))
    with pytest.raises(Forbidden, match="CLOZE_HUB_ORGANIZATIONS"):
        find_remote("hf://datasets/owner/name/a.txt", access_to(server, hub=True, organizations=("other",)))
    with pytest.raises(Forbidden, match="CLOZE_DATA_BUCKETS"):
        find_remote("s3://bucket/a.txt", access_to(server, buckets=("other",)))


@pytest.mark.parametrize(
    "address",
    ["http://user:secret@data.test/a", "https:///a", "http://data.test:22/a", "hf://models/a/b/c", "hf://datasets/a/b",
     "s3://Bucket/a", "s3://bucket", "http://data.test/a b"],
)  # fmt: skip
def test_what_is_no_address_is_refused(server: FileServer, address: str) -> None:
    with pytest.raises(InvalidValue):
        find_remote(address, access_to(server, hub=True, buckets=("bucket",)))


@pytest.mark.parametrize("part", ["..", ".", "%2e%2E", "%2e.", "a%2f..", "a%5c..", "%252e%252e"])
def test_a_path_cannot_leave_the_bucket_or_the_repository(server: FileServer, online: None, part: str) -> None:
    access = access_to(server, hub=True, organizations=("owner",), buckets=("bucket",))
    for start in ("s3://bucket", "hf://datasets/owner/name", f"hf://datasets/owner/name@{part}"):
        if part.startswith("%25") and start.startswith("s3"):
            continue  # a key is never decoded, so this one has no such parts
        for address in (f"{start}/{part}/{part}/other/a.txt", f"{start}/a/{part}", f"{start}/{part}/*.txt"):
            with pytest.raises(InvalidValue, match=r"the parts '\.' or '\.\.'"):
                find_remote(address, access, resolver=to_loopback)
    with pytest.raises(InvalidValue, match=r"the parts '\.' or '\.\.'"):
        expand_hub_address(f"hf://datasets/owner/name/{part}/*.txt", access, endpoint=server.url(""))
    assert not server.asked


def test_redirects_follow_the_same_rule(server: FileServer, tmp_path: Path) -> None:
    server.redirects = {"/b.txt": "/a.txt", "/evil.txt": server.url("/a.txt", "evil.test"), "/loop.txt": "/loop.txt"}
    server.redirects |= {"/ssh.txt": "ssh://data.test/a", "/open.txt": "http://[", "/port.txt": "http://data.test:x/"}
    file = find(server, "/b.txt")
    assert file.filename == "b.txt"
    assert fetch(server, file, tmp_path) == TEXT
    with pytest.raises(Forbidden, match=r"redirects to evil\.test"):
        find(server, "/evil.txt")
    with pytest.raises(InvalidData, match="redirects more than 5 times"):
        find(server, "/loop.txt")
    for path in ("/ssh.txt", "/open.txt", "/port.txt"):
        with pytest.raises(InvalidValue, match="address"):
            find(server, path)


def test_a_redirect_to_a_private_address_is_refused(server: FileServer) -> None:
    server.redirects = {"/b.txt": f"http://127.0.0.1:{server.port}/a.txt"}
    access = RemoteAccess(hosts=(f"data.test:{server.port}", f"127.0.0.1:{server.port}"))
    with pytest.raises(Forbidden, match="not public"):
        find_remote(server.url("/b.txt"), access, resolver=to_loopback)


def test_sizes_are_bounded(server: FileServer) -> None:
    server.files["/empty.txt"] = b""
    with pytest.raises(EmptyInput):
        find(server, "/empty.txt")
    with pytest.raises(TooLarge, match="CLOZE_MAX_FILE_BYTES"):
        find(server, max_bytes=1000)
    server.extra = {"Content-Encoding": "gzip"}
    with pytest.raises(InvalidData, match="compressed"):
        find(server)


@pytest.mark.parametrize(
    ("status", "error"), [(403, Forbidden), (404, FileNotFound), (503, NotReady), (418, InvalidData)]
)
def test_answers_without_content_are_errors(server: FileServer, status: int, error: type[Exception]) -> None:
    server.status = {"/a.txt": status}
    with pytest.raises(error, match=str(status)):
        find(server)


@pytest.mark.parametrize("ranges", [True, False])
def test_truncated_answers_are_continued(server: FileServer, tmp_path: Path, ranges: bool) -> None:
    file = find(server)
    server.ranges, server.cut = ranges, 200_000 if ranges else None
    server.asked.clear()
    assert fetch(server, file, tmp_path) == TEXT
    assert server.asked == ([0, 200_000, 400_000, 600_000] if ranges else [0])


def test_a_file_without_a_version_is_begun_anew(server: FileServer, tmp_path: Path) -> None:
    server.etags = {}
    file = find(server)
    server.cut = 200_000

    def change(seconds: float) -> None:
        server.files["/a.txt"], server.cut = TEXT[::-1], None

    server.asked.clear()
    assert fetch(server, file, tmp_path, pause=change) == TEXT[::-1]
    assert server.asked == [0, 0]
    assert (tmp_path / "sha256").read_text() == hashlib.sha256(TEXT[::-1]).hexdigest()
    server.cut = 200_000
    with pytest.raises(NotReady, match="bytes too early"):  # no try gets further than the one before
        fetch(server, file, tmp_path / "other")


def test_discarded_bytes_count(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.ranges = False
    file, heard = find(server), []
    monkeypatch.setattr("app.datasets.remote.reading.MAX_READ", 300_000)
    with RemoteReader(file, access_to(server), resolver=to_loopback) as reader:
        reader.seek(400_000)
        with pytest.raises(TooLarge, match="checking its beginning takes more"):
            reader.read(1)
    fetch(server, file, tmp_path)
    for name, content in (("content", TEXT[:400_000]), ("saved", b"400000")):
        (tmp_path / name).write_bytes(content)
    assert fetch(server, file, tmp_path, listen=heard.append) == TEXT
    assert heard.count(400_000) >= 400_000 // (64 * 1024)


@pytest.mark.parametrize("given", ["bytes 9-10/3", f"bytes 0-1/{'9' * 5000}", "bytes 0-1/*"])
def test_a_range_that_cannot_be_is_refused(server: FileServer, given: str) -> None:
    server.extra = {"Content-Range": given}
    with pytest.raises(InvalidData, match="does not tell the size"):
        find(server)


def test_headers_that_come_byte_by_byte_end_with_the_timeout(server: FileServer) -> None:
    server.drip = True
    with pytest.raises(NotReady, match=r"took too long|timed out"):
        open_range(server.url("/a.txt"), 0, access_to(server).http_rule, resolver=to_loopback, timeout=0.2)


def test_a_server_that_sends_nothing_more_ends_the_download_and_keeps_its_bytes(
    server: FileServer, tmp_path: Path
) -> None:
    file, pauses = find(server), []
    server.cut = 200_000

    def stop_sending(seconds: float) -> None:
        pauses.append(seconds)
        server.cut = 0

    with pytest.raises(NotReady, match="bytes too early"):
        fetch(server, file, tmp_path, pause=stop_sending)
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0]
    server.cut = None
    server.asked.clear()
    assert fetch(server, file, tmp_path) == TEXT
    assert server.asked == [200_000]


def test_a_stopped_download_continues_and_a_killed_one_loses_what_was_not_saved(
    server: FileServer, tmp_path: Path
) -> None:
    file = find(server)

    def stop(received: int) -> None:
        if received > 300_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(server, file, tmp_path, listen=stop)
    saved = int((tmp_path / "saved").read_text())
    assert 300_000 < saved < len(TEXT)
    with (tmp_path / "content").open("ab") as content:
        content.write(b"bytes that were never synced")
    server.asked.clear()
    assert fetch(server, file, tmp_path) == TEXT
    assert server.asked == [saved]


@pytest.mark.parametrize(
    ("etag", "content", "message"),
    [('"2"', TEXT, "ETag"), ('"1"', TEXT + b"more", "size"), (None, TEXT[:-1], "size"), (None, TEXT, "ETag")],
)
def test_a_changed_file_is_an_error(
    server: FileServer, tmp_path: Path, etag: str | None, content: bytes, message: str
) -> None:
    file = find(server)
    server.files["/a.txt"] = content
    server.etags = {"/a.txt": etag} if etag else {}
    with pytest.raises(InvalidData, match=f"has changed since the job was created: its {message}"):
        fetch(server, file, tmp_path)


def test_another_digest_is_an_error(server: FileServer, tmp_path: Path) -> None:
    file = find(server).model_copy(update={"sha256": "0" * 64})
    with pytest.raises(InvalidData, match="SHA-256"):
        fetch(server, file, tmp_path)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_remote_parquet_file_is_read_where_it_lies(server: FileServer, tmp_path: Path, ranges: bool) -> None:
    texts = [f"lion {number * 7919 % 10007}" for number in range(5000)]
    pq.write_table(pa.table({"text": texts, "other": texts[::-1]}), tmp_path / "a.parquet", row_group_size=1000)
    server.files["/a.parquet"], server.ranges = (tmp_path / "a.parquet").read_bytes(), ranges
    reader = RemoteReader(find(server, "/a.parquet"), access_to(server), resolver=to_loopback)
    with io.BufferedReader(reader) as file:
        found = [document.text for document in read_open(file, "a.parquet", "text")]
    assert found == list(read_documents(tmp_path / "a.parquet", "a.parquet"))


def test_the_hub_pins_commit_and_digest_and_gets_the_token(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, online: None
) -> None:
    digest = hashlib.sha256(TEXT).hexdigest()
    hub = f"http://hub.test:{server.port}"
    path = "/datasets/owner/name/resolve"
    server.extra = {"X-Repo-Commit": COMMIT, "X-Linked-ETag": f'"{digest}"'}
    for revision in ("main", "refs%2Fpr%2F1", COMMIT):
        server.files[f"{path}/{revision}/data/a.txt"] = TEXT
    options = {"resolver": to_loopback, "endpoint": hub}
    access = RemoteAccess(hub=True)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    for address in ("hf://datasets/owner/name/data/a.txt", "hf://datasets/owner/name@refs%2Fpr%2F1/data/a.txt"):
        file = find_remote(address, access, **options)
        assert (file.filename, file.revision, file.sha256) == ("a.txt", COMMIT, digest)
    download(file, access, tmp_path, **options)
    assert all(headers["Authorization"] == "Bearer hf_secret" for headers in server.headers)
    assert (tmp_path / "content").read_bytes() == TEXT
    with pytest.raises(FileNotFound, match=r"no file 'data/b\.txt'"):
        find_remote("hf://datasets/owner/name/data/b.txt", access, **options)
    server.redirects[f"{path}/main/data/a.txt"] = server.url("/a.txt")
    with pytest.raises(Forbidden, match=r"data\.test"):  # not the hub's own storage
        find_remote("hf://datasets/owner/name/data/a.txt", access, **options)


def test_an_object_is_read_from_the_service_of_the_environment(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/bucket/a%20b/c.txt"], server.etags["/bucket/a%20b/c.txt"] = TEXT, '"7"'
    access = RemoteAccess(buckets=("bucket",))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.port}")
    file = find_remote("s3://bucket/a b/c.txt", access)
    assert (file.filename, file.bytes, file.etag) == ("c.txt", len(TEXT), '"7"')
    assert "Authorization" not in server.headers[-1]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    download(file, access, tmp_path)
    assert (tmp_path / "content").read_bytes() == TEXT
    assert server.headers[-1]["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=id/")
    with pytest.raises(FileNotFound, match="s3://bucket/none does not exist"):
        find_remote("s3://bucket/none", access)


def test_requests_are_signed_as_in_the_documentation_of_aws() -> None:
    service = S3Service(key_id="AKIAIOSFODNN7EXAMPLE", secret="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    now = datetime(2013, 5, 24, tzinfo=UTC)
    headers = service.sign("https://examplebucket.s3.amazonaws.com/test.txt", now, {"range": "bytes=0-9"})
    assert headers["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )


@pytest.mark.parametrize(
    ("bucket", "url"),
    [
        ("data", "https://data.s3.eu-west-1.amazonaws.com/a/b%20c%2B.csv"),
        ("my.data", "https://s3.eu-west-1.amazonaws.com/my.data/a/b%20c%2B.csv"),
    ],
)
def test_objects_of_aws_have_addresses_by_region(bucket: str, url: str) -> None:
    assert S3Service.from_environment({"AWS_REGION": "eu-west-1"}).url(bucket, "a/b c+.csv") == url


def test_a_redirect_to_another_host_does_not_get_the_token(server: FileServer) -> None:
    server.redirects = {"/b.txt": server.url("/a.txt", "127.0.0.1"), "/c.txt": "/a.txt"}
    for path, expected in (("/b.txt", [True, False]), ("/c.txt", [True, True])):
        server.headers.clear()
        rule = access_to(server).http_rule
        open_range(server.url(path), 0, rule, headers={"Authorization": "secret"}, resolver=to_loopback).close()
        assert ["Authorization" in headers for headers in server.headers] == expected


def test_a_wildcard_stands_for_files_of_a_dataset(server: FileServer, online: None) -> None:
    paths = ["data/b.parquet", "data/a.parquet", "data/old/c.parquet", "data/a.json"]
    tree = [{"type": "file", "path": path, "size": 1, "oid": "0"} for path in paths]
    tree.append({"type": "directory", "path": "data/old", "oid": "0"})
    for revision in ("main", "v1"):
        server.files[f"/api/datasets/owner/name/tree/{revision}/data"] = json.dumps(tree).encode()
    endpoint, access = f"http://127.0.0.1:{server.port}", RemoteAccess(hub=True)
    for start in ("hf://datasets/owner/name", "hf://datasets/owner/name@v1"):
        found = expand_hub_address(f"{start}/data/*.parquet", access, endpoint=endpoint)
        assert found == [f"{start}/data/a.parquet", f"{start}/data/b.parquet"]
    deep = expand_hub_address("hf://datasets/owner/name/data/**.parquet", access, endpoint=endpoint)
    assert len(deep) == 3
    with pytest.raises(FileNotFound, match="matches none of the 4 files"):
        expand_hub_address("hf://datasets/owner/name/data/*.csv", access, endpoint=endpoint)
    with pytest.raises(FileNotFound, match="no dataset"):
        expand_hub_address("hf://datasets/owner/other/data/*.csv", access, endpoint=endpoint)
    with pytest.raises(Forbidden, match="CLOZE_ALLOW_HUB"):
        expand_hub_address("hf://datasets/owner/name/*.csv", RemoteAccess())
