import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.jobs.connection import Client
from app.jobs.file_upload import FileUpload
from app.jobs.files import FileStore
from app.jobs.jobs import Jobs
from app.system.disk_space import DiskReserve
from tests.api.conftest import MakeClient
from tests.fakes.jobs import make_spec

TEXT = b"The lions hunt.\n\nThe deer run.\n"


def upload(client: TestClient, content: bytes = TEXT, name: str = "text.txt", **fields: str) -> dict:
    answer = client.post("/v1/files", files={"file": (name, content)}, data={"purpose": "fine-tune", **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_upload_get_content_delete(jobs_client: TestClient) -> None:
    file = upload(jobs_client)

    assert (file["object"], file["bytes"], file["filename"], file["purpose"]) == ("file", 31, "text.txt", "fine-tune")
    assert len(file["sha256"]) == 64
    assert jobs_client.get(f"/v1/files/{file['id']}").json() == file
    content = jobs_client.get(f"/v1/files/{file['id']}/content")
    assert content.content == TEXT
    assert "text.txt" in content.headers["content-disposition"]
    beyond = jobs_client.get(f"/v1/files/{file['id']}/content", headers={"range": "bytes=99999999999-"})
    assert (beyond.status_code, beyond.json()["error"]["code"]) == (416, "range_not_satisfiable")
    assert beyond.headers["content-range"] == "bytes */31"
    assert jobs_client.delete(f"/v1/files/{file['id']}").json() == {
        "id": file["id"],
        "object": "file",
        "deleted": True,
    }
    for path in (f"/v1/files/{file['id']}", f"/v1/files/{file['id']}/content"):
        answer = jobs_client.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "file_not_found")


def test_binary_content_that_looks_like_a_form_survives(jobs_client: TestClient) -> None:
    content = b"\r\n--boundary\r\n\r\n--" + bytes(range(256)) * 2000 + b"\r\n"

    file = upload(jobs_client, content, "ünïcode name.txt")

    assert file["filename"] == "ünïcode name.txt"
    assert jobs_client.get(f"/v1/files/{file['id']}/content").content == content


def test_list_by_cursor_newest_first(jobs_client: TestClient) -> None:
    ids = [upload(jobs_client)["id"] for _ in range(3)][::-1]

    first = jobs_client.get("/v1/files", params={"limit": 2}).json()
    rest = jobs_client.get("/v1/files", params={"limit": 2, "after": first["last_id"]}).json()

    assert ([f["id"] for f in first["data"]], first["has_more"]) == (ids[:2], True)
    assert ([f["id"] for f in rest["data"]], rest["has_more"], rest["first_id"]) == (ids[2:], False, ids[2])
    assert jobs_client.get("/v1/files", params={"purpose": "batch"}).json()["data"] == []
    assert jobs_client.get("/v1/files", params={"limit": 0}).json()["error"]["param"] == "limit"


def form(*parts: bytes, end: bytes = b"--b--\r\n") -> bytes:
    return b"".join(b"--b\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts) + end


FILE = b'name="file"; filename="a.txt"\r\n\r\ntext'
PURPOSE = b'name="purpose"\r\n\r\nfine-tune'


@pytest.mark.parametrize("parts", [(FILE,), (PURPOSE, FILE), (FILE, PURPOSE)])
def test_the_purpose_may_stand_anywhere(jobs_client: TestClient, parts: tuple[bytes, ...]) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}

    assert jobs_client.post("/v1/files", content=form(*parts), headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("content", "status", "param"),
    [
        (form(PURPOSE), 422, "file"),
        (form(b'name="file"\r\n\r\nno filename'), 422, "file"),
        (form(b'name="other"; filename="a"\r\n\r\ntext'), 422, "other"),
        (form(b'name="purpose"\r\n\r\nassistants', FILE), 422, "purpose"),
        (form(FILE, b'name="purpose"\r\n\r\nassistants'), 422, "purpose"),
        (form(FILE, b'name="expires"\r\n\r\n1'), 422, "expires"),
        (form(FILE, FILE), 422, "file"),
        (form(b'name="purpose"\r\n\r\n' + b"x" * 70_000, FILE), 422, "purpose"),
        (form(*[b'name="purpose"\r\n\r\n'] * 33, FILE), 422, "file"),
        (form(*[f'name="f{n}"\r\n\r\n'.encode() for n in range(40)]), 422, "f33"),
        (form(FILE, *[b'name="purpose"\r\n\r\nfine-tune'] * 40), 422, "purpose"),
        (form(b'name="file"; filename="a.txt"\r\n\r\n'), 400, "file"),
        (form(FILE, end=b""), 400, None),
        (b"", 400, None),
        (b"no form at all", 400, None),
    ],
)
def test_broken_forms_leave_nothing_behind(
    jobs_client: TestClient, tmp_path: Path, content: bytes, status: int, param: str | None
) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}

    answer = jobs_client.post("/v1/files", content=content, headers=headers)

    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
    assert jobs_client.get("/v1/files").json()["data"] == []
    assert not list((tmp_path / "var" / "files").glob("*"))


def test_no_form(jobs_client: TestClient) -> None:
    answer = jobs_client.post("/v1/files", json={"file": "text"})

    assert answer.status_code == 400
    assert "multipart/form-data" in answer.json()["error"]["message"]


def test_bounded(make_client, jobs, files) -> None:  # type: ignore[no-untyped-def]
    client = make_client(jobs=jobs, files=files, max_file_bytes=1000, max_body_bytes=10)

    def endless() -> Iterator[bytes]:
        yield b"--b\r\nContent-Disposition: form-data; " + b'name="file"; filename="a.txt"\r\n\r\n'
        for _ in range(100):
            yield b"x" * 100

    headers = {"content-type": "multipart/form-data; boundary=b"}
    assert client.post("/v1/files", files={"file": ("a.txt", b"x" * 1000)}).status_code == 200
    assert client.post("/v1/files", files={"file": ("a.txt", b"x" * 1001)}).status_code == 413
    assert client.post("/v1/files", content=endless(), headers=headers).status_code == 413


def test_a_file_in_use_stays(jobs_client: TestClient, jobs: Jobs, redis: Client) -> None:
    file = upload(jobs_client)
    job = jobs.create(make_spec(redis, training_files=(file["id"],)))

    assert jobs_client.delete(f"/v1/files/{file['id']}").status_code == 409
    jobs.cancel(job.id)
    assert jobs_client.delete(f"/v1/files/{file['id']}").status_code == 200


def test_a_full_disk_is_a_507(
    make_client: MakeClient, jobs: Jobs, redis: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "var" / "files"
    client = make_client(jobs=jobs, files=FileStore(redis, folder, DiskReserve(folder, 2**62)))

    answer = client.post("/v1/files", files={"file": ("a.txt", TEXT)})

    assert (answer.status_code, answer.json()["error"]["code"]) == (507, "insufficient_storage")
    assert "are reserved" in answer.json()["error"]["message"]
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_an_error_of_the_disk_on_the_way(
    jobs_client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number), "/secret")

    monkeypatch.setattr(FileUpload, "finish", fail)
    answer = jobs_client.post("/v1/files", files={"file": ("a.txt", TEXT)})

    error = answer.json()["error"]
    is_full = number != errno.EIO
    expected = (507, "insufficient_storage") if is_full else (500, "internal_error")
    assert (answer.status_code, error["code"]) == expected
    assert "/secret" not in error["message"]
    assert ("Traceback" in caplog.text) is not is_full
    assert jobs_client.get("/v1/files").json()["data"] == []
