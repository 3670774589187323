"""Labelled media: the files of an archive, with a folder for each class, or with labels in a table of the archive."""

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from app.datasets.archives import Member, read_members
from app.datasets.columns import refuse_columns
from app.datasets.label_cells import UnusableRow, read_label
from app.datasets.labelled import (
    MAX_SIZE,
    PARTS,
    LabelledColumns,
    LabelledFile,
    LabelledItem,
    LabelledItems,
    Part,
    read_part,
)
from app.datasets.reports import Reason, Report
from app.datasets.tables import TableRow, read_open_rows
from app.errors import InvalidData, TooLarge
from app.media.sniff import expect
from app.types import ModalityName

_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tzst")
_TABLES = ("labels.csv", "labels.tsv", "labels.jsonl", "labels.json", "labels.parquet")
_NAME_COLUMNS = ("file", "filename", "file_name", "path", "name")


def is_archive(filename: str) -> bool:
    return filename.lower().endswith(_SUFFIXES)


def read_archive(
    file: LabelledFile, columns: LabelledColumns, modality: str, found: LabelledItems
) -> Iterator[LabelledItem]:
    """Yields the labelled files of an archive. Those that cannot be used are named in `found`.

    With a table such as labels.csv, its column `file` names the files, and `columns` has those of labels and parts.
    Without one, the folder of a file is its class, and the nearest folder around it named train or test its part.

    Raises InvalidData for a broken archive, for two tables or one without the columns, and TooLarge.
    """
    members, table = _read(file, found)
    labelled = _by_table(members, table, file, columns, found) if table else _by_folder(members, file, found)
    for item in labelled:
        try:
            assert isinstance(item.content, bytes)
            expect(item.content, ModalityName(modality))
        except (InvalidData, TooLarge) as e:
            found.skip(item.place, e.message)
        else:
            yield item


def _read(file: LabelledFile, found: LabelledItems) -> tuple[dict[str, bytes], Member | None]:
    """Returns the files of an archive by name, and its table of labels if it has one."""
    report, members, table, size = Report(), dict[str, bytes](), None, 0
    for member in read_members(file.path, file.filename, report=report):
        if PurePosixPath(member.name).name.lower() in _TABLES:
            if table is not None:
                both = f"{table.name!r} and {member.name!r}"
                raise InvalidData(f"{file.filename}: {both} are both tables of labels; keep one of them")
            table = member
            continue
        size += len(member.data)
        if size > MAX_SIZE:
            raise TooLarge(f"{file.filename}: more than the limit of {MAX_SIZE:,} bytes; send a sample of its files")
        members[member.name] = member.data
    for reason, skipped in report.skipped.items():
        if reason is not Reason.HIDDEN:
            for name in skipped.examples:
                found.skip(f"{file.filename}/{name}", reason)
            found.skipped_count += skipped.count - len(skipped.examples)
    return members, table


def _by_folder(members: Mapping[str, bytes], file: LabelledFile, found: LabelledItems) -> Iterator[LabelledItem]:
    for name, data in members.items():
        place, folders = f"{file.filename}/{name}", PurePosixPath(name).parts[:-1]
        try:
            if not folders:
                raise UnusableRow("the file is in no folder; the folder of a file is its class")
            part = _find_part(folders[:-1], file)
            label = read_label(folders[-1], "folder")
        except UnusableRow as e:
            found.skip(place, str(e))
        else:
            yield LabelledItem(data, label, part, place)


def _find_part(folders: Sequence[str], file: LabelledFile) -> Part:
    """Returns the part that the nearest folder names, or that of the file.

    Raises UnusableRow if the file is for training or for scores alone, and the folder names another part.
    """
    named = next((PARTS[folder.lower()] for folder in reversed(folders) if folder.lower() in PARTS), None)
    if named is None or file.part is Part.EITHER:
        return named or file.part
    if (named is Part.TRAIN) != (file.part is Part.TRAIN):
        purpose = "training" if file.part is Part.TRAIN else "scores"
        raise UnusableRow(f"a folder around it names the {named} part, but all of `{file.field}` is for {purpose}")
    return file.part


def _by_table(
    members: Mapping[str, bytes], table: Member, file: LabelledFile, columns: LabelledColumns, found: LabelledItems
) -> Iterator[LabelledItem]:
    folder, used = PurePosixPath(table.name).parent, set[str]()
    name_column = _find_columns(_read_table(table, file), columns)
    for row in _read_table(table, file):
        try:
            name, item = _to_item(row, name_column, members, folder, columns, file.part)
        except UnusableRow as e:
            found.skip(row.place, str(e))
        else:
            used.add(name)
            yield item
    found.unused += len(members) - len(used)


def _read_table(table: Member, file: LabelledFile) -> Iterator[TableRow]:
    return read_open_rows(io.BytesIO(table.data), len(table.data), f"{file.filename}/{table.name}", {})


def _find_columns(rows: Iterator[TableRow], columns: LabelledColumns) -> str:
    """Returns the column that names files. Raises InvalidData for a table in which no row has the columns."""
    values: dict[str, list[object]] = {}
    place = ""
    for row in rows:
        place = place or row.place
        for name, value in row.values.items():
            values.setdefault(name, [value])
    for option, wanted in {"label_column": columns.label, "split_column": columns.split}.items():
        if values and wanted is not None and wanted not in values:
            raise refuse_columns(f"{place}: no column {wanted!r}", values, option)
    named = next((name for name in (columns.text, *_NAME_COLUMNS) if name in values), None)
    if values and named is None:
        raise refuse_columns(f"{place}: no column with names of files, such as 'file'", values)
    return named or ""


def _to_item(
    row: TableRow,
    name_column: str,
    members: Mapping[str, bytes],
    folder: PurePosixPath,
    columns: LabelledColumns,
    part: Part,
) -> tuple[str, LabelledItem]:
    """Returns the name of a row's file, and its item. Paths are those of the archive, or begin at the table."""
    if row.fault:
        raise UnusableRow(row.fault)
    given = str(row.values.get(name_column) or "")
    name = next((each for each in (str(folder / given), given) if each in members), None)
    if name is None:
        raise UnusableRow(f"the archive has no file {given!r}")
    label, labels = columns.read_labels(row.values)
    if columns.split is not None:
        part = read_part(row.values.get(columns.split), columns.split)
    return name, LabelledItem(members[name], label, part, row.place, labels)
