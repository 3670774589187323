"""The collection of garbage in a bucket: content that no version has."""

import json
import time
from collections.abc import Iterator

from app.storage.bucket import Bucket, StoredObject
from app.store.bucket_index import MODELS, is_deleted
from app.store.bucket_storage import CONTENT, GRACE, PUBLICATIONS
from app.store.entry import MANIFEST


def collect_garbage(bucket: Bucket, *, grace: float = GRACE) -> tuple[int, int]:
    """Deletes content that no version has and that is older than the grace time. Returns its objects and bytes.

    A publication under way has content without a manifest, so the grace time has to be longer than any publication.
    grace: seconds. Raises NotReady, and ValueError for a manifest that is not JSON, whose content is unknown.
    """
    # Content first: what a publication refers to after its manifest was read below is younger than the grace time.
    old = [each for each in bucket.list(CONTENT) if _is_old(each, grace)]
    used = {digest for manifest in _manifests(bucket) for digest in manifest}
    objects = size = 0
    for each in old:
        again = bucket.find(each.key)  # a publication that meets old content uploads it anew
        if each.key.rpartition("/")[2] not in used and again is not None and _is_old(again, grace):
            bucket.delete([each.key])
            objects, size = objects + 1, size + each.size
    bucket.delete([each.key for each in bucket.list(PUBLICATIONS) if _is_old(each, grace)])
    return objects, size


def _manifests(bucket: Bucket) -> Iterator[list[str]]:
    """Yields the digests of each version."""
    for each in bucket.list(MODELS):
        if each.key.endswith(f"/{MANIFEST}"):
            found = bucket.read(each.key)
            if found is not None and not is_deleted(found[0]):
                yield list(json.loads(found[0]).get("files", {}).values())


def _is_old(each: StoredObject, grace: float) -> bool:
    return each.modified < time.time() - grace
