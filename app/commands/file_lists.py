"""Lists of media files as data sets: `.lst` and `.scp` files, and tables with a column of paths.

A `.lst` has one path a line. A `.scp`, as Kaldi's wav.scp, has an id before it. Paths are relative to the folder of the
list.
"""

import csv
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

from app.commands.folders import PackedFolder
from app.errors import InvalidValue

LISTS = (".lst", ".scp")
TABLES = {".csv": ",", ".tsv": "\t"}
MAX_FILES = 1_000_000  # as of an archive
SHOWN = 3  # missing files that an error names


def is_list(path: Path, column: str | None) -> bool:
    """Tells whether a file lists media files. column: of the paths in tables."""
    suffix = path.suffix.lower()
    return suffix in LISTS or (column is not None and suffix in TABLES)


def pack_list(path: Path, target: Path, column: str | None) -> PackedFolder:
    """Writes the listed files to a .tar, in their order, each once.

    Raises InvalidValue for an empty list, one without the column, and one that names what is no file.
    """
    files = dict.fromkeys(_read_list(path, column))
    if not files:
        raise InvalidValue(f"{path} lists no files")
    packed = PackedFolder()
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        for number, file in enumerate(files):
            entry = tarfile.TarInfo(_name_in_archive(path.parent, file, number))
            with file.open("rb") as content:
                entry.size = os.fstat(content.fileno()).st_size
                archive.addfile(entry, content)
            packed.files += 1
            packed.bytes += entry.size
    return packed


def _read_list(path: Path, column: str | None) -> Iterator[Path]:
    missing = []
    for number, (place, name) in enumerate(_read_names(path, column), 1):
        if number > MAX_FILES:
            raise InvalidValue(f"{path} lists more than {MAX_FILES:,} files")
        file = path.parent / name
        if file.is_file():
            yield file
        else:
            missing.append(f"{place}: {name}")
    if missing:
        further = f" and {len(missing) - SHOWN:,} more" if len(missing) > SHOWN else ""
        raise InvalidValue(f"{path} lists files that are not there: {'; '.join(missing[:SHOWN])}{further}")


def _read_names(path: Path, column: str | None) -> Iterator[tuple[str, str]]:
    """Yields (the line, the path on it)."""
    suffix = path.suffix.lower()
    with path.open(encoding="utf-8-sig", newline="" if suffix in TABLES else None) as lines:
        try:
            if suffix in TABLES:
                yield from _read_column(path, csv.DictReader(lines, delimiter=TABLES[suffix]), column or "")
                return
            for number, line in enumerate(lines, 1):
                if name := line.strip():
                    yield f"line {number}", _second_word(path, number, name) if suffix == ".scp" else name
        except (UnicodeDecodeError, csv.Error) as e:
            raise InvalidValue(f"{path} is no list of files in UTF-8: {e}") from e


def _read_column(path: Path, rows: "csv.DictReader[str]", column: str) -> Iterator[tuple[str, str]]:
    if column not in (rows.fieldnames or ()):
        raise InvalidValue(f"{path} has no column {column!r}; it has: {', '.join(rows.fieldnames or ()) or 'none'}")
    for row in rows:
        if name := (row[column] or "").strip():
            yield f"line {rows.line_num}", name


def _second_word(path: Path, number: int, line: str) -> str:
    _, _, name = line.partition(" ")
    if not name.strip() or name.rstrip().endswith("|"):
        raise InvalidValue(f"{path}, line {number}: expected an id and a path; commands are not run")
    return name.strip()


def _name_in_archive(folder: Path, file: Path, number: int) -> str:
    """Returns the path within the list's folder; for other files their name, which a number makes unique."""
    inside = Path(os.path.relpath(file, folder))
    visible = not any(part.startswith(".") for part in inside.parts)
    return inside.as_posix() if visible else f"{number:06}/{file.name.lstrip('.')}"
