import pytest
from fastapi.testclient import TestClient

from tests.fakes.redis import redis, redis_server  # noqa: F401


def uploaded(client: TestClient, disposition: bytes) -> str:
    body = b'--b\r\nContent-Disposition: form-data; name="file"' + disposition + b"\r\n\r\na text\r\n--b--\r\n"
    answer = client.post("/v1/files", content=body, headers={"content-type": "multipart/form-data; boundary=b"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["filename"])


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('; filename="löwe.txt"'.encode(), "löwe.txt"),  # as browsers send it
        ('; filename="löwe.txt"'.encode("latin-1"), "löwe.txt"),
        (b"; filename*=UTF-8''l%C3%B6we.txt", "löwe.txt"),  # RFC 5987, alone
        (b"; filename=\"fallback.txt\"; filename*=utf-8'de'l%C3%B6we.txt", "löwe.txt"),
        (b"; filename*=ISO-8859-1''l%F6we.txt; filename=fallback.txt", "löwe.txt"),
        (b"; filename*=UTF-7''l%F6we.txt; filename=fallback.txt", "fallback.txt"),
        (b'; filename="=?UTF-8?B?bMO2d2UudHh0?="', "löwe.txt"),  # RFC 2047
        (b'; filename="=?utf-8?q?l=C3=B6we.txt?="', "löwe.txt"),
        (b'; filename="=?nonsense?b?bMO2?=.txt"', "=?nonsense?b?bMO2?=.txt"),
        (b'; filename="a %22good%22 one.txt"', 'a "good" one.txt'),  # as browsers write quotes
        (b'; filename="a \\"good\\" one.txt"', 'a "good" one.txt'),  # as curl does
        (b'; filename="100%25.txt"', "100%25.txt"),  # which no browser writes for 100%
        (b'; filename="C:\\data\\lions.txt"', "lions.txt"),
        (b'; filename="data\\lions.txt"', "lions.txt"),
        (b'; filename="../../etc/passwd"', "passwd"),
        (b"; filename*=UTF-8''..%2F..%2Fetc%2Fpasswd", "passwd"),
        (b'; filename="a%0D%0Ab.txt"', "ab.txt"),
        (b"; filename*=UTF-8''a%00%1Bb.txt", "ab.txt"),
        (b"; filename=lions.txt", "lions.txt"),
        (b'; filename=""', "upload"),
    ],
)
def test_names_of_uploads(jobs_client: TestClient, disposition: bytes, name: str) -> None:
    assert uploaded(jobs_client, disposition) == name
