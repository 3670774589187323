"""`cloze backup` and `cloze restore`: records, uploads, jobs and models as one tar file."""

import contextlib
import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import typer

from app import __version__
from app.errors import Conflict, InvalidData, NotReady
from app.jobs.backup import check_empty, dump_records, load_records
from app.jobs.connection import Client, EmbeddedRedis, StorageError, connect, find_url
from app.settings import Settings
from app.system.durable import new_folder, open_replacement

_ABOUT, _RECORDS, _SUMS = "backup.json", "records.jsonl", "SHA256SUMS"
_VAR, _MODELS = "var", "models"
_PARTS = ("files", "jobs")  # of var_dir; the rest is made again
_FORMAT = 1
_PIECE = 1 << 20  # bytes


def backup(settings: Settings, target: Path) -> None:
    """Writes a backup and says so."""
    with _reporting_outages():
        count = write_backup(settings, target)
    typer.echo(f"Backed up {count} records, and the files of uploads, jobs and models, to {target}")


def restore(settings: Settings, source: Path) -> None:
    """Restores a backup and says so."""
    with _reporting_outages():
        count = restore_backup(settings, source)
    typer.echo(f"Restored {count} records, and the files of uploads, jobs and models")


@contextlib.contextmanager
def _reporting_outages() -> Iterator[None]:
    try:
        yield
    except StorageError as error:
        raise NotReady(f"Redis does not answer: {error}") from error


def write_backup(settings: Settings, target: Path) -> int:
    """Writes a backup, which only its owner can read. Returns the number of records.

    The records come first: all files that they name exist then, and files are added afterwards, but rarely deleted.
    Raises OSError, and StorageError while Redis is away.
    """
    with open_replacement(target) as out:
        os.fchmod(out.fileno(), 0o600)  # uploads, and secrets of webhooks
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
            writer = _Writer(tar)
            writer.add_text(_ABOUT, json.dumps(_about()))
            with tempfile.TemporaryFile(dir=target.parent) as records, _redis_of(settings) as redis:
                count = 0
                for line in dump_records(redis):
                    records.write(line)
                    count += 1
                writer.add_open(_RECORDS, records)
            for part in _PARTS:
                writer.add_tree(settings.var_dir / part, f"{_VAR}/{part}")
            for folder in _model_folders(settings):
                writer.add_tree(folder, _MODELS)
            writer.add_text(_SUMS, "".join(f"{digest}  {name}\n" for name, digest in writer.digests.items()))
    return count


def restore_backup(settings: Settings, source: Path) -> int:
    """Restores a backup. Returns the number of records. Nothing remains of one that is damaged.

    Raises Conflict where there are data already, InvalidData for a file that is no whole backup, and OSError.
    """
    with contextlib.ExitStack() as stack:
        if settings.redis_url:
            check_empty(stack.enter_context(connect(settings.redis_url)))
        for folder in (settings.var_dir, *_model_folders(settings)):
            folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        try:
            var = stack.enter_context(new_folder(settings.var_dir))
            folders = {_VAR: var}
            for folder in _model_folders(settings):
                folders[_MODELS] = stack.enter_context(new_folder(folder))
            tar = stack.enter_context(tarfile.open(source))
            records = stack.enter_context(tempfile.TemporaryFile())
            _extract(tar, folders, records)
            records.seek(0)
        except FileExistsError as error:
            raise Conflict(f"{error.filename} is not empty; a backup is restored to new folders") from error
        except (tarfile.TarError, EOFError, UnicodeDecodeError) as error:
            raise InvalidData(f"{source} is not a complete backup: {error}") from error
        with _new_redis(settings, var) as redis:
            return load_records(redis, records)


def _model_folders(settings: Settings) -> list[Path]:
    """Returns the folder of the model store. A store in a bucket has none: its copies are made by the object store."""
    return [settings.model_store] if isinstance(settings.model_store, Path) else []


def _about() -> dict[str, object]:
    return {"format": _FORMAT, "cloze": __version__, "created": datetime.now(UTC).isoformat(timespec="seconds")}


@contextlib.contextmanager
def _redis_of(settings: Settings) -> Iterator[Client]:
    """Yields the Redis of a running server, or that of its folder."""
    try:
        url = find_url(settings.redis_url, settings.var_dir)
    except NotReady:  # the server is stopped
        with EmbeddedRedis(settings.var_dir) as server, connect(server.url) as redis:
            yield redis
    else:
        with connect(url) as redis:
            yield redis


@contextlib.contextmanager
def _new_redis(settings: Settings, var_dir: Path) -> Iterator[Client]:
    if settings.redis_url:
        with connect(settings.redis_url) as redis:
            yield redis
    else:
        with EmbeddedRedis(var_dir) as server, connect(server.url) as redis:
            yield redis


class _Writer:
    """Adds files to a tar, and keeps their digests."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self.digests: dict[str, str] = {}

    def add_text(self, name: str, text: str) -> None:
        with tempfile.TemporaryFile() as file:
            file.write(text.encode())
            self.add_open(name, file)

    def add_open(self, name: str, file: IO[bytes]) -> None:
        """Adds an open file from its start. Hard links stay links, as between uploads of the same bytes."""
        file.seek(0, os.SEEK_END)
        file.seek(0)
        info = self._tar.gettarinfo(arcname=name, fileobj=file)
        if not info.isreg():
            self._tar.addfile(info)
            return
        reader = _HashingReader(file)
        self._tar.addfile(info, reader)
        self.digests[name] = reader.digest.hexdigest()

    def add_tree(self, folder: Path, name: str) -> None:
        """Adds the regular files of a folder, where there is one. Those that vanish meanwhile are left out."""
        for path in sorted(folder.rglob("*")):
            with contextlib.suppress(FileNotFoundError):
                if path.is_file() and not path.is_symlink():
                    with path.open("rb") as file:
                        self.add_open(f"{name}/{path.relative_to(folder).as_posix()}", file)


class _HashingReader:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self.digest.update(piece)
        return piece


def _extract(tar: tarfile.TarFile, folders: dict[str, Path], records: IO[bytes]) -> None:
    """Extracts the folders and the records, and checks all digests.

    Raises InvalidData for what is no whole backup.
    """
    found: dict[str, str] = {}
    expected: dict[str, str] | None = None
    for member in tar:
        top, _, rest = member.name.partition("/")
        if member.isreg():
            content = tar.extractfile(member)
            assert content is not None
            reader = _HashingReader(content)
            if member.name == _SUMS:
                lines = content.read().decode().splitlines()
                expected = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
                continue
            with _open_target(member, folders, records) as out:
                shutil.copyfileobj(reader, out, _PIECE)
            found[member.name] = reader.digest.hexdigest()
        elif member.islnk() and top in folders and rest:
            target = _inside(folders, member.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(_inside(folders, member.linkname), target)
        else:
            raise InvalidData(f"the backup has a member that Cloze did not write: {member.name[:200]!r}")
    if expected is None or found != expected:
        raise InvalidData("the backup is not whole, or damaged: its digests are not those of its files")


@contextlib.contextmanager
def _open_target(member: tarfile.TarInfo, folders: dict[str, Path], records: IO[bytes]) -> Iterator[IO[bytes]]:
    if member.name == _RECORDS:
        yield records
    elif member.name == _ABOUT:
        with tempfile.TemporaryFile() as about:
            yield about
            about.seek(0)
            _check_format(about.read())
    else:
        target = _inside(folders, member.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as out:
            yield out
        target.chmod(member.mode & 0o777)


def _check_format(about: bytes) -> None:
    try:
        form = json.loads(about)["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidData("this is no backup of Cloze") from error
    if form != _FORMAT:
        raise InvalidData(f"the backup has format {form!r}; this version of Cloze reads {_FORMAT}")


def _inside(folders: dict[str, Path], name: str) -> Path:
    """Returns the path of a member. Raises InvalidData for one that leads out of its folder."""
    top, _, rest = name.partition("/")
    parts = rest.split("/")
    if top not in folders or not rest or any(part in ("", ".", "..") for part in parts):
        raise InvalidData(f"the backup has a member that Cloze did not write: {name[:200]!r}")
    return folders[top].joinpath(*parts)
