"""Readers of sequences: FASTA, FASTQ and SMILES files. A record is a document, and its header is the document's name.

FASTA is described at https://blast.ncbi.nlm.nih.gov/doc/blast-topics/, FASTQ in doi:10.1093/nar/gkp1137, and the
columns of SMILES files at https://open-babel.readthedocs.io/en/latest/FileFormats/SMILES_format.html.
"""

import re
from collections.abc import Iterator
from typing import IO

from app.datasets.reports import Layout
from app.datasets.sources import Document, TextSource, shorten
from app.datasets.text import open_text, read_lines
from app.errors import InvalidData

MAX_SEQUENCE = 1_000_000  # letters of a document; a longer sequence, such as a chromosome, becomes several documents
PIECE = 64 * 1024  # characters of a line read at once; a chromosome may be one line
MAX_HEADER = 1000  # characters kept of a header
# The first line of many SMILES files names the columns.
_SMILES_HEADER = re.compile(r"(canonical_|isomeric_)?smiles?\b", re.IGNORECASE)
_FASTA_LINE = re.compile(r">\s*\S.*|;.*|[A-Za-z*.-]+|")


def read_fasta(stream: IO[bytes], source: TextSource) -> Iterator[Document]:
    """Joins wrapped lines and keeps the case. Lines that begin with `;` are comments."""
    source.report.add_layout(Layout.SEQUENCES)
    record: _Record | None = None
    for number, is_start, piece in _read_pieces(stream, source):
        if is_start and piece.startswith(">"):
            if record is not None and record.is_open:
                yield record.finish(source)
            record = _Record(piece[1:].strip()[:MAX_HEADER], number)
            continue
        letters = "" if is_start and piece.startswith(";") else "".join(piece.split())
        if record is None:
            if letters:
                raise InvalidData(f"{source.name}, line {number}: expected a header that begins with '>'")
            continue
        record.add(letters)
        if record.size >= MAX_SEQUENCE:
            _note_cut(source)
            yield record.finish(source)
    if record is not None and record.is_open:
        yield record.finish(source)


class _Record:
    """The FASTA record that is being read. line: number of its header's line."""

    def __init__(self, header: str, line: int) -> None:
        self._header, self._line = header, line
        self._parts: list[str] = []
        self.size = 0  # letters that are not yielded yet
        self.is_open = True  # false if all of it is yielded

    def add(self, letters: str) -> None:
        if letters:
            self._parts.append(letters)
            self.size += len(letters)
            self.is_open = True

    def finish(self, source: TextSource) -> Document:
        text, self._parts, self.size, self.is_open = "".join(self._parts), [], 0, False
        return Document(source.row(text, f"{source.name}, line {self._line}"), self._header)


def _read_pieces(stream: IO[bytes], source: TextSource) -> Iterator[tuple[int, bool, str]]:
    """Yields (line number, whether the piece begins the line, piece). The rest of a header or comment is dropped."""
    text = open_text(stream, source)
    number, is_start, drop = 0, True, False
    while piece := text.readline(PIECE):
        if is_start:
            number += 1
            drop = piece.startswith((">", ";"))
        if is_start or not drop:
            yield number, is_start, piece
        is_start = piece.endswith("\n")


def _note_cut(source: TextSource) -> None:
    note = f"{source.name}: sequences of more than {MAX_SEQUENCE:,} letters are read as several documents"
    if note not in source.report.notes:
        source.report.note(note)


def looks_like_fasta(lines: list[str]) -> bool:
    """Tells whether the first lines of a text are headers and letters only."""
    filled = [line.strip() for line in lines if line.strip()]
    has_both = (
        filled[0].startswith(">") and any(not line.startswith((">", ";")) for line in filled) if filled else False
    )
    return has_both and all(_FASTA_LINE.fullmatch(line) for line in filled)


def read_fastq(stream: IO[bytes], source: TextSource) -> Iterator[Document]:
    """Reads records of four lines, or of more where sequence and qualities are wrapped. Qualities are dropped."""
    source.report.add_layout(Layout.SEQUENCES)
    lines = read_lines(stream, source)
    for number, line in lines:
        if not line.strip():
            continue
        where = f"{source.name}, line {number}"
        if not line.startswith("@"):
            raise InvalidData(f"{where}: expected a FASTQ header that begins with '@', found {_show(line)}")
        letters = _read_letters(lines, where)
        _read_qualities(lines, len(letters), where)
        yield Document(source.row(letters, where), line[1:].strip()[:MAX_HEADER])


def _read_letters(lines: Iterator[tuple[int, str]], where: str) -> str:
    """Reads the sequence of a record, up to and including the line that begins with '+'."""
    parts: list[str] = []
    size = 0
    for _, line in lines:
        if line.startswith("+"):
            return "".join(parts)
        parts.append("".join(line.split()))
        size += len(parts[-1])
        if size > MAX_SEQUENCE:
            break
    else:
        raise InvalidData(f"{where}: the file ends within this FASTQ record; it is cut off")
    raise InvalidData(f"{where}: no '+' line within {MAX_SEQUENCE:,} letters of this FASTQ header")


def _read_qualities(lines: Iterator[tuple[int, str]], size: int, where: str) -> None:
    """Reads as many qualities as the sequence has letters. They may contain '@' and '+'."""
    found = 0
    for _, line in lines if size else ():
        found += len(line.rstrip("\r\n"))
        if found >= size:
            break
    if found != size:
        raise InvalidData(f"{where}: this FASTQ record has {size} letters and {found} qualities")


def read_smiles(stream: IO[bytes], source: TextSource) -> Iterator[Document]:
    """The first column is the molecule, and the rest of the line its name. A line that names the columns is skipped."""
    source.report.add_layout(Layout.SEQUENCES)
    for number, line in read_lines(stream, source):
        where = f"{source.name}, line {number}"
        if number == 1 and _SMILES_HEADER.match(line):
            source.report.note(f"{where} names the columns and is skipped: {_show(line)}")
            continue
        molecule, *name = line.split(maxsplit=1) or [""]
        yield Document(source.row(molecule, where), name[0].strip()[:MAX_HEADER] if name else "")


def _show(line: str) -> str:
    return repr(shorten(line.strip(), 50))
