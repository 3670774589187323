"""Reader of plain text: one document a line, a paragraph or a file. The layout is detected if the user names none."""

import codecs
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import IO, cast

from app.datasets.compression import inner_suffix
from app.datasets.reports import Layout
from app.datasets.sequences import looks_like_fasta, read_fasta
from app.datasets.sources import Document, TextSource, UnreadableFile
from app.datasets.text import MARKS, NULS, read_lines
from app.media.sniff import describe, sniff

MAX_DOCUMENT = 1_000_000  # characters of a paragraph or file; a longer one ends at the next line break
HEAD = 64 * 1024  # bytes from which the layout is detected
MAX_WIDTH = 132  # characters to which text is wrapped at most
FEW_LINES = 10  # fewer lines may be a paragraph, unless each looks like an item of its own
MANY_LINES = 50  # of a block; so many lines between empty ones are no paragraph
CODE = frozenset(
    {
        *(".asm", ".bash", ".bat", ".c", ".cc", ".clj", ".cpp", ".cs", ".css", ".cu", ".cuh", ".cxx", ".dart", ".el"),
        *(".erl", ".ex", ".exs", ".f", ".f90", ".fs", ".go", ".gradle", ".h", ".hh", ".hpp", ".hs", ".htm", ".html"),
        *(".hxx", ".ini", ".ipynb", ".java", ".jl", ".js", ".jsx", ".kt", ".kts", ".less", ".lisp", ".lua", ".m"),
        *(".mjs", ".ml", ".mli", ".nim", ".php", ".pl", ".pm", ".proto", ".ps1", ".py", ".pyi", ".pyx", ".r", ".rb"),
        *(".rs", ".s", ".scala", ".scss", ".sh", ".sql", ".svelte", ".swift", ".tcl", ".tex", ".toml", ".ts", ".tsx"),
        *(".v", ".vb", ".vhd", ".vue", ".xhtml", ".xml", ".yaml", ".yml", ".zig", ".zsh"),
    }
)  # suffixes of files that are one document each
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")  # bytes that no text of any 8-bit encoding has
_END = re.compile(r"[.!?…。！？:;]['\"”»)\]]*$")  # of a sentence


def read_plain(stream: IO[bytes], source: TextSource) -> Iterator[Document]:
    """Reads text in the layout that `source.documents` names or that is detected.

    Raises UnreadableFile for binary data.
    """
    head, stream = _peek(stream)
    _check_text(head, source.name)
    layout = Layout(source.documents) if source.documents != "auto" else _detect(head, source.name)
    if layout is Layout.SEQUENCES:
        yield from read_fasta(stream, source)
        return
    source.report.add_layout(layout)
    name = source.member if layout is Layout.FILE else ""
    for text in READERS[layout](stream, source):
        yield Document(text, name)


def read_whole(stream: IO[bytes], source: TextSource) -> Iterator[Document]:
    """Reads a file as one document, named by its path in an archive."""
    source.report.add_layout(Layout.FILE)
    for text in _read_file(stream, source):
        yield Document(text, source.member)


class _Prefixed:
    """A stream whose beginning has been read."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head, self._rest = head, rest

    def read(self, size: int, /) -> bytes:
        if not self._head:
            return self._rest.read(size)
        data, self._head = self._head[:size], self._head[size:]
        return data


def _peek(stream: IO[bytes]) -> tuple[bytes, IO[bytes]]:
    """Returns the stream's first HEAD bytes, and a stream that begins with them."""
    parts: list[bytes] = []
    size = 0
    while size < HEAD and (data := stream.read(HEAD - size)):
        parts.append(data)
        size += len(data)
    head = b"".join(parts)
    return head, cast(IO[bytes], _Prefixed(head, stream))


def peek_character(stream: IO[bytes]) -> tuple[str, IO[bytes]]:
    """Returns the first character that is not white space, and a stream that begins where the given one does."""
    head, stream = _peek(stream)
    return _decode(head).lstrip()[:1], stream


def _check_text(head: bytes, name: str) -> None:
    """Raises UnreadableFile for binary data. Text in another encoding is refused later, with its line."""
    kind = sniff(head)
    is_binary = kind is not None and kind.name == "PDF"  # which may begin with text
    if not is_binary and not _is_marked(head) and head.count(0) * NULS <= len(head):
        try:
            codecs.getincrementaldecoder("utf-8")().decode(head)
        except UnicodeDecodeError:
            is_binary = kind is not None or _CONTROLS.search(head) is not None
    elif not is_binary:
        is_binary = kind is not None
    if is_binary:
        found = describe(head, kind)
        raise UnreadableFile(f"{name}: unknown format: found {found}, which is not text")


def _is_marked(head: bytes) -> bool:
    return head.startswith(tuple(MARKS))


def _decode(head: bytes) -> str:
    encoding = next((name for mark, name in MARKS.items() if head.startswith(mark)), "UTF-8")
    text = codecs.getincrementaldecoder(encoding)("ignore").decode(head)
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _detect(head: bytes, name: str) -> Layout:
    """Detects the layout from a file's suffix or its first bytes."""
    suffix = inner_suffix(name)
    if suffix in CODE:
        return Layout.FILE
    lines = _decode(head).split("\n")
    if len(head) >= HEAD and len(lines) > 1:
        lines.pop()  # it may be cut
    if looks_like_fasta(lines):
        return Layout.SEQUENCES
    return Layout.LINES if suffix == ".log" else detect_layout(lines)


def detect_layout(lines: Sequence[str]) -> Layout:
    """Detects whether the lines of a text are documents of their own, or are separated by empty lines."""
    filled = [line.strip() for line in lines if line.strip()]
    blocks = sum(bool(line.strip()) and not before.strip() for before, line in zip(["", *lines], lines, strict=False))
    if len(filled) < 2 or (blocks > 1 and len(filled) < MANY_LINES * blocks) or _is_wrapped(filled):
        return Layout.PARAGRAPHS
    unspaced = sum(not any(map(str.isspace, line)) for line in filled)
    sentences = sum(_END.search(line) is not None for line in filled)
    is_list = len(filled) >= FEW_LINES or 2 * max(unspaced, sentences) > len(filled)
    return Layout.LINES if is_list else Layout.PARAGRAPHS


def _is_wrapped(lines: Sequence[str]) -> bool:
    """Tells whether lines are broken where the next word would not fit, as in prose with a fixed width."""
    width = max(map(len, lines))
    if width > MAX_WIDTH:
        return False
    pairs = list(pairwise(lines))
    words = [line.split() for line in lines]
    full = sum(len(line) + 1 + len(after.split(maxsplit=1)[0]) > width for line, after in pairs if " " in line)
    # Lines of logs and of lists may have nearly one length, too. They begin with digits or capitals, or begin or end
    # with the same word; sentences go on in small letters.
    going_on = sum(after[0].isalpha() and not after[0].isupper() for _, after in pairs)
    commonest = max(Counter(line[end] for line in words).most_common(1)[0][1] for end in (0, -1))
    return full > 0.7 * len(pairs) and going_on > 0.3 * len(pairs) and commonest <= max(2, 0.2 * len(lines))


def _read_lines(stream: IO[bytes], source: TextSource) -> Iterator[str]:
    for _, line in read_lines(stream, source):
        source.budget.spend(0, rows=1)
        yield line


def _read_paragraphs(stream: IO[bytes], source: TextSource) -> Iterator[str]:
    yield from _join(stream, source, ends_at_empty=True)


def _read_file(stream: IO[bytes], source: TextSource) -> Iterator[str]:
    yield from _join(stream, source, ends_at_empty=False)


def _join(stream: IO[bytes], source: TextSource, *, ends_at_empty: bool) -> Iterator[str]:
    """Joins lines to documents of at most about MAX_DOCUMENT characters."""
    parts: list[str] = []
    size = 0
    for _, line in read_lines(stream, source):
        is_empty = not line.strip()
        if is_empty:
            source.budget.spend(0, rows=1)
        if not is_empty or not ends_at_empty:
            parts.append(line)
            size += len(line)
        if parts and ((is_empty and ends_at_empty) or size >= MAX_DOCUMENT):
            yield "".join(parts)
            parts, size = [], 0
    yield "".join(parts)


READERS = {Layout.LINES: _read_lines, Layout.PARAGRAPHS: _read_paragraphs, Layout.FILE: _read_file}
