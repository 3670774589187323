"""Lists of files of datasets on the hub, for addresses with a wildcard: `hf://datasets/owner/name/data/*.parquet`."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from urllib.parse import quote

from app.datasets.remote.hub import split_hub_address
from app.errors import FileNotFound, NotReady, TooLarge
from app.system.remote_access import RemoteAccess

MAX_LISTED = 100_000  # files of a dataset
MAX_MATCHES = 1000  # as of a job


def has_wildcard(address: str) -> bool:
    return address.startswith("hf:") and "*" in address


def expand_hub_address(address: str, access: RemoteAccess, *, endpoint: str | None = None) -> list[str]:
    """Returns the addresses of the files that match, in the order of their names.

    `*` stands for any characters of a name, `**` also for folders.

    Raises InvalidValue and Forbidden as `find_hub_file` does, FileNotFound if nothing matches, TooLarge for too many
    files, and NotReady if the hub cannot be reached.
    """
    from huggingface_hub import HfApi, RepoFile

    repository, revision, pattern = split_hub_address(address, access)
    folder = pattern[: pattern.index("*")].rpartition("/")[0]
    with _translated(address):
        tree = HfApi(endpoint=endpoint).list_repo_tree(
            repository, folder or None, recursive=True, revision=revision, repo_type="dataset"
        )
        names = [entry.path for entry in islice(tree, MAX_LISTED + 1) if isinstance(entry, RepoFile)]
    if len(names) > MAX_LISTED:
        raise TooLarge(f"{address}: the dataset has more than {MAX_LISTED:,} files; name a folder of it")
    wanted = _compile(pattern)
    found = sorted(name for name in names if wanted.fullmatch(name))
    if not found:
        raise FileNotFound(f"{address} matches none of the {len(names):,} files that are there")
    if len(found) > MAX_MATCHES:
        raise TooLarge(f"{address} matches {len(found):,} files; a job reads at most {MAX_MATCHES:,}")
    start = address[: -len(address.split("/", 5)[5])]
    return [start + quote(name) for name in found]


def _compile(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*+)", pattern)
    return re.compile("".join({0: "", 1: "[^/]*"}.get(part.count("*"), ".*") or re.escape(part) for part in parts))


@contextmanager
def _translated(address: str) -> Iterator[None]:
    """Raises the hub's errors as Cloze's."""
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # its own, httpx or httpx2

    try:
        yield
    except HfHubHTTPError as e:
        if e.response.status_code in (401, 403, 404):
            raise FileNotFound(f"the hub has no dataset, revision or folder for {address}, or keeps it private") from e
        raise NotReady(f"the files of {address} cannot be listed: the hub answers {e.response.status_code}") from e
    except (httpx.HTTPError, OSError) as e:
        raise NotReady(f"the files of {address} cannot be listed: {e or type(e).__name__}") from e
