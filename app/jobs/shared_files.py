"""Content of uploaded files in a bucket, which servers and workers of several machines share: `files/<id>`."""

import contextlib
import hashlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from app.errors import FileNotFound, InvalidData
from app.jobs.spec import StoredFile
from app.storage.bucket import Bucket, open_bucket

_FOLDER = "files"
_PIECE = 4 * 2**20  # bytes


class SharedFiles:
    """Raises NotReady where the bucket does not answer."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def upload(self, file_id: str, content: Path) -> None:
        """Streams the content into the bucket, in parts if it is large."""
        self._bucket.upload(f"{_FOLDER}/{file_id}", content)

    def fetch(self, file: StoredFile, root: Path, *, aside: str) -> None:
        """Downloads a file to `<root>/<id>/content`, whole or not at all.

        aside: the name of the folder in `root` in which it is written until it is whole.
        Raises FileNotFound, and InvalidData if its digest is another one.
        """
        folder = root / aside
        folder.mkdir(parents=True)
        try:
            digest = hashlib.sha256()
            with (folder / "content").open("wb") as out:
                for piece in self._bucket.download(f"{_FOLDER}/{file.id}", _PIECE):
                    digest.update(piece)
                    out.write(piece)
            if digest.hexdigest() != file.sha256:
                raise InvalidData(f"the content of file '{file.id}' was damaged in the bucket")
            with contextlib.suppress(OSError):  # another process has fetched it meanwhile
                folder.rename(root / file.id)
        except FileNotFoundError as error:
            raise FileNotFound(f"the content of file '{file.id}' is missing in the bucket") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def delete(self, file_id: str) -> None:
        self._bucket.delete([f"{_FOLDER}/{file_id}"])

    def drop_older(self, seconds: float, is_recorded: Callable[[str], bool]) -> None:
        """Deletes content that is so old and not recorded: its server was killed, or the bucket was away."""
        for each in list(self._bucket.list(_FOLDER)):
            file_id = each.key.rpartition("/")[2]
            if each.modified < time.time() - seconds and not is_recorded(file_id):
                self.delete(file_id)


def open_shared_files(url: str | None, *, check: bool = False) -> SharedFiles | None:
    """Opens the bucket of CLOZE_STORAGE, if it is set. Raises NotReady, which names the setting.

    check: prove that it can be written.
    """
    if url is None:
        return None
    bucket = open_bucket(url, "CLOZE_STORAGE")
    if check:
        bucket.check()
    return SharedFiles(bucket)
