"""Uploads of a command: files and folders, which are deleted again if the command fails."""

import re
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from app.commands.client import ApiClient
from app.commands.file_lists import is_list, pack_list
from app.commands.folders import archive_name, pack_folder
from app.commands.output import note
from app.errors import AppError

_ADDRESS = re.compile(r"[a-z0-9]+://", re.ASCII)


def is_address(name: str) -> bool:
    """Tells whether a name is the address of a remote file, which the server reads itself."""
    return _ADDRESS.match(name) is not None


class Uploads:
    """A context that deletes its uploads from the server unless `keep` is called."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._ids: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file_id in self._ids:
            with suppress(AppError):  # the server may be gone
                self._client.delete(f"/v1/files/{file_id}")

    def send(self, name: str | Path, list_column: str | None = None) -> str:
        """Uploads a file; a folder, or the files of a list, as one archive.

        list_column: column of a table that lists files. Returns the id; for the address of a remote file, the address.
        """
        if is_address(str(name)):
            return str(name)
        path = Path(name)
        if path.is_dir() or (path.is_file() and is_list(path, list_column)):
            with tempfile.TemporaryDirectory(prefix="cloze-") as folder:
                packed = Path(folder) / archive_name(path)
                found = pack_folder(path, packed) if path.is_dir() else pack_list(path, packed, list_column)
                note(f"Packed {path}: {found.describe()}.")
                self._ids.append(self._client.upload(packed))
        else:
            self._ids.append(self._client.upload(path))
        return self._ids[-1]

    def keep(self) -> None:
        self._ids.clear()
