"""Files of datasets on the Hugging Face hub: `hf://datasets/owner/name/path`, as fsspec writes them.

`@revision` may follow the name, with slashes as %2F. The commit is pinned, so the content cannot change.
"""

import re
from typing import Any
from urllib.parse import quote, unquote

from app.datasets.remote.http import RangeStream, open_range
from app.errors import FileNotFound, Forbidden, InvalidData, InvalidValue, NotReady
from app.system.addresses import has_dot_segment, parse_http_url
from app.system.remote_access import HostRule, RemoteAccess
from app.types import RemoteFile

_ADDRESS = re.compile(
    r"hf://datasets/(?P<repository>(?P<owner>\w[\w.-]*)/\w[\w.-]*)(?:@(?P<revision>[^/@]+))?/(?P<path>[^/].*)", re.ASCII
)
_DOMAINS = ("huggingface.co", "hf.co")  # of the hub's storage, which it redirects to
_SHA256 = re.compile(r"[0-9a-f]{64}")


def find_hub_file(address: str, access: RemoteAccess, **options: Any) -> RemoteFile:
    """Finds a file and pins its commit. Raises InvalidValue, Forbidden, FileNotFound, InvalidData and NotReady."""
    repository, revision, path = split_hub_address(address, access)
    with _open(repository, revision, path, 0, **options) as stream:
        headers = {name.lower(): value for name, value in stream.headers.items()}
        commit, digest = headers.get("x-repo-commit"), headers.get("x-linked-etag", "").strip('"')
        if commit is None:
            raise InvalidData(f"{address}: the hub does not tell the commit of the file")
        sha256 = digest if _SHA256.fullmatch(digest) else None
        return RemoteFile(
            address=address, filename=path.rpartition("/")[2], bytes=stream.size, revision=commit, sha256=sha256
        )


def open_hub_file(file: RemoteFile, offset: int, access: RemoteAccess, **options: Any) -> RangeStream:
    """Opens a file of its pinned commit at an offset."""
    repository, _, path = split_hub_address(file.address, access)
    return _open(repository, file.revision or "main", path, offset, **options)


def split_hub_address(address: str, access: RemoteAccess) -> tuple[str, str, str]:
    """Returns (repository, revision, path). Raises InvalidValue, and Forbidden for what is not allowed."""
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise InvalidValue(f"{address!r} is no address such as hf://datasets/owner/name/path.jsonl")
    if not access.hub:
        raise Forbidden("this server does not read files of the hub; CLOZE_ALLOW_HUB=1 allows it")
    if access.organizations and found["owner"] not in access.organizations:
        raise Forbidden(
            f"{found['owner']} is not among the organizations that this server may read from;"
            f" CLOZE_HUB_ORGANIZATIONS has: {', '.join(access.organizations)}"
        )
    revision, path = unquote(found["revision"] or "main"), unquote(found["path"])
    if has_dot_segment(revision) or has_dot_segment(path):
        raise InvalidValue(f"{address!r}: a revision or a path with the parts '.' or '..' does not exist")
    return found["repository"], revision, path


def _open(
    repository: str, revision: str, path: str, offset: int, *, endpoint: str | None = None, **options: Any
) -> RangeStream:
    from huggingface_hub import constants, get_token

    if constants.HF_HUB_OFFLINE:
        raise NotReady("HF_HUB_OFFLINE is set, so that nothing is read from the hub")
    endpoint = endpoint or constants.ENDPOINT
    host = parse_http_url(endpoint).name
    url = f"{endpoint}/datasets/{repository}/resolve/{quote(revision, safe='')}/{quote(path)}"
    token = get_token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    rule = HostRule((host,), _DOMAINS, private=(host,))
    try:
        return open_range(url, offset, rule, headers=headers, **options)
    except FileNotFound as e:
        raise FileNotFound(f"hf://datasets/{repository} has no file {path!r} at {revision!r} ({e.message})") from e
