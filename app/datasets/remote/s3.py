"""Objects of S3 and of services like it: `s3://bucket/key`, over HTTP.

The operator's environment names the service and the credentials, as for other clients of AWS: AWS_ENDPOINT_URL_S3 or
AWS_ENDPOINT_URL, AWS_REGION or AWS_DEFAULT_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.
Without credentials, requests are not signed, and public objects can be read. Users choose the bucket and the key alone.

Requests are signed by version 4: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html.
"""

import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

from app.datasets.remote.http import RangeStream, open_range
from app.errors import FileNotFound, Forbidden, InvalidValue
from app.system.addresses import has_dot_segment, parse_http_url
from app.system.remote_access import HostRule, RemoteAccess
from app.types import RemoteFile

_ADDRESS = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<key>[^/].*)")
_EMPTY = hashlib.sha256(b"").hexdigest()  # of the body of a GET


def find_s3_object(address: str, access: RemoteAccess, **options: Any) -> RemoteFile:
    """Finds an object and pins its ETag. Raises InvalidValue, Forbidden, FileNotFound, InvalidData and NotReady."""
    with _open(address, 0, access, **options) as stream:
        name = address.rpartition("/")[2]
        return RemoteFile(address=address, filename=name, bytes=stream.size, etag=stream.etag, modified=stream.modified)


def open_s3_object(file: RemoteFile, offset: int, access: RemoteAccess, **options: Any) -> RangeStream:
    """Opens an object at an offset."""
    return _open(file.address, offset, access, **options)


@dataclass(frozen=True)
class S3Service:
    """Where the objects are, and who asks for them. endpoint: None for AWS."""

    endpoint: str | None = None
    region: str = "us-east-1"
    key_id: str | None = None
    secret: str | None = None
    token: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "S3Service":
        return cls(
            environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL") or None,
            environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or cls.region,
            environment.get("AWS_ACCESS_KEY_ID") or None,
            environment.get("AWS_SECRET_ACCESS_KEY") or None,
            environment.get("AWS_SESSION_TOKEN") or None,
        )

    def url(self, bucket: str, key: str) -> str:
        """Returns the address of an object: the bucket is in the path, or for AWS in the host."""
        path = quote(key, "/~")
        if self.endpoint:
            return f"{self.endpoint.rstrip('/')}/{bucket}/{path}"
        if "." in bucket:  # no certificate is valid for it as a part of the host
            return f"https://s3.{self.region}.amazonaws.com/{bucket}/{path}"
        return f"https://{bucket}.s3.{self.region}.amazonaws.com/{path}"

    def sign(self, url: str, now: datetime, headers: Mapping[str, str] | None = None) -> dict[str, str]:
        """Returns the headers of a signed GET, or none without credentials. headers: further ones to be signed."""
        if not (self.key_id and self.secret):
            return {}
        time = now.strftime("%Y%m%dT%H%M%SZ")
        own = {"x-amz-content-sha256": _EMPTY, "x-amz-date": time, **(headers or {})}
        own |= {"x-amz-security-token": self.token} if self.token else {}
        signed = {"host": parse_http_url(url).name, **own}
        names = ";".join(sorted(signed))
        lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
        request = f"GET\n{urlsplit(url).path}\n\n{lines}\n{names}\n{_EMPTY}"
        scope = f"{time[:8]}/{self.region}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = f"AWS4{self.secret}".encode()
        for part in (*scope.split("/"), text):
            key = hmac.digest(key, part.encode(), "sha256")
        value = f"AWS4-HMAC-SHA256 Credential={self.key_id}/{scope},SignedHeaders={names},Signature={key.hex()}"
        return {**own, "Authorization": value}


def _open(address: str, offset: int, access: RemoteAccess, **options: Any) -> RangeStream:
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise InvalidValue(f"{address!r} is no address such as s3://bucket/key.jsonl")
    if has_dot_segment(found["key"]):
        raise InvalidValue(f"{address!r}: a key with the parts '.' or '..' is not supported")
    if found["bucket"] not in access.buckets:
        raise Forbidden(
            f"{found['bucket']} is not among the buckets that jobs may read from; CLOZE_DATA_BUCKETS lists them"
        )
    service = S3Service.from_environment(os.environ)
    url = service.url(found["bucket"], found["key"])
    host = parse_http_url(url).name
    rule = HostRule((host,), private=(host,) if service.endpoint else ())
    try:
        return open_range(url, offset, rule, headers=service.sign(url, datetime.now(UTC)), **options)
    except FileNotFound as e:
        raise FileNotFound(f"{address} does not exist ({e.message})") from e
    except Forbidden as e:
        raise Forbidden(f"this server may not read {address} ({e.message})") from e
