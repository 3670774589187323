"""Labelled items of files of any kind: tables of texts, and archives of media."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain

from app.datasets.documents import read_open
from app.datasets.labelled import (
    LabelledColumns,
    LabelledFile,
    LabelledItem,
    LabelledItems,
    collect_items,
    read_table,
)
from app.datasets.labelled_archives import is_archive, read_archive
from app.datasets.sources import shorten
from app.errors import AppError, InvalidData


def read_labelled(
    files: Iterable[LabelledFile],
    columns: LabelledColumns,
    modality: str = "text",
    *,
    sequences: LabelledFile | None = None,
    limit: int | None = None,
) -> LabelledItems:
    """Reads the labelled items of files. Rows and files that cannot be used are left out, and named in the result.

    modality: of the items; texts are in tables, and all others in archives.
    sequences: a FASTA file, whose records the text column of the tables names.
    limit: stops after this many rows of a table, as soon as one of them can be used.

    Raises:
        InvalidData: A file is no table or archive, lacks a column, or is damaged; or most of it cannot be used. `param`
            is the file's field.
        TooLarge: There are more items, or longer ones, than an evaluation takes.
    """
    found = LabelledItems()
    texts = None
    if sequences:
        with _name_field(sequences):
            texts = read_sequences(sequences)

    def read_file(file: LabelledFile) -> Iterator[LabelledItem]:
        with _name_field(file):
            if (modality == "text") == is_archive(file.filename):
                kind = "a table of texts" if modality == "text" else f"an archive, as a model of {modality} reads"
                raise InvalidData(f"{file.filename}: expected {kind}")
            if modality == "text":
                yield from read_table(file, columns, found, sequences=texts, limit=limit)
            else:
                yield from read_archive(file, columns, modality, found)

    collect_items(chain.from_iterable(map(read_file, files)), found)
    return found


@contextmanager
def _name_field(file: LabelledFile) -> Iterator[None]:
    """Sets `param` of errors to the field of the request that names the file."""
    try:
        yield
    except AppError as error:
        error.param = error.param or file.field
        raise


def read_sequences(file: LabelledFile) -> dict[str, str]:
    """Returns the sequences of a FASTA file by their names: the whole header, and its first word.

    Raises InvalidData for a file without names, and for a name that two records have.
    """
    named: dict[str, str] = {}
    with file.path.open("rb") as stream:
        for document in read_open(stream, file.filename, "text"):
            for name in dict.fromkeys([document.name, *document.name.split()[:1]]):
                if named.setdefault(name, document.text) != document.text:
                    raise InvalidData(f"{file.filename}: two sequences are named {shorten(name, 100)!r}")
    if not any(named):
        raise InvalidData(f"{file.filename}: expected a FASTA file, whose records have names")
    return named
