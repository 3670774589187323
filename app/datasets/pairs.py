"""Pairs of texts: rows of a table with an anchor, a positive and, if there is one, a hard negative."""

from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from app.datasets.label_cells import UnusableRow, read_score
from app.datasets.previews import Preview, TextPreview
from app.datasets.reports import Layout, Reason, Report
from app.datasets.sampling import MAX_BYTES, MAX_TEXT, DocumentSample, sample_documents
from app.datasets.sources import UnreadableFile, replace_surrogates
from app.datasets.tables import TableRow, is_table, read_open_rows
from app.errors import InvalidData
from app.types import Documents

SENTENCES = ("sentence1", "sentence2")  # columns of the STS benchmark


@dataclass(frozen=True)
class PairColumns:
    """The columns of a table of pairs. score: how similar the texts of a validation file are."""

    anchor: str = "anchor"
    positive: str = "positive"
    negative: str = "negative"
    score: str = "score"


class PositivePair(NamedTuple):
    """negative: empty if there is none."""

    anchor: str
    positive: str
    negative: str = ""


class ScoredPair(NamedTuple):
    first: str
    second: str
    score: float


def read_pairs(file: BinaryIO, filename: str, columns: PairColumns, report: Report) -> Iterator[PositivePair]:
    """Yields the pairs of an open table. Rows that are no pair are counted in `report`.

    Raises InvalidData for a file that is no table, lacks the columns of a pair, or is damaged; TooLarge.
    """
    if not is_table(filename):
        raise UnreadableFile(
            f"{filename}: pairs are rows of a table, such as .jsonl, .csv or .parquet, with the columns"
            f" {columns.anchor!r} and {columns.positive!r}; for texts without pairs set positives to dropout"
        )
    report.add_layout(Layout.ROWS)
    wanted = {"anchor_column": columns.anchor, "positive_column": columns.positive}
    for row in read_open_rows(file, _measure(file), filename, wanted, [columns.negative]):
        texts = [_read_text(row, name, report) for name in wanted.values()] if _is_whole(row, report) else []
        if not texts or None in texts:
            continue
        negative = row.values.get(columns.negative) or ""
        if not isinstance(negative, str):
            report.skip(Reason.BROKEN, row.place, f"expected a text in {columns.negative!r}")
            continue
        report.usable += 1
        anchor, positive = (text for text in texts if text is not None)
        yield PositivePair(anchor, positive, _clean(negative))


def has_scores(file: BinaryIO, filename: str, columns: PairColumns) -> bool:
    """Returns whether an open file is a table of two texts and a score. Raises InvalidData for a damaged file."""
    if not is_table(filename):
        return False
    found = _find_columns(file, filename, columns)
    return columns.score in found and _find_names(found, columns) is not None


def _has_pairs(file: BinaryIO, filename: str, columns: PairColumns) -> bool:
    return is_table(filename) and {columns.anchor, columns.positive} <= _find_columns(file, filename, columns)


def read_scored(file: BinaryIO, filename: str, columns: PairColumns, report: Report) -> Iterator[ScoredPair]:
    """Yields the scored pairs of an open table. Rows that are no scored pair are counted in `report`.

    The texts are in the columns of a pair, or else in `SENTENCES`.
    Raises InvalidData for a file that lacks these columns or is damaged; TooLarge.
    """
    report.add_layout(Layout.ROWS)
    names = _find_names(_find_columns(file, filename, columns), columns) or SENTENCES
    wanted = {"anchor_column": names[0], "positive_column": names[1], "score_column": columns.score}
    for row in read_open_rows(file, _measure(file), filename, wanted):
        pair = _read_scored_row(row, names, columns.score, report)
        if pair is not None:
            report.usable += 1
            yield pair


def _find_columns(file: BinaryIO, filename: str, columns: PairColumns) -> Set[str]:
    """Returns which of the known columns hold strings or numbers, by the first whole row."""
    known = [columns.anchor, columns.positive, *SENTENCES, columns.score]
    rows = read_open_rows(file, _measure(file), filename, {}, known, plain=True)
    return next((row.values.keys() for row in rows if not row.fault), set())


def _find_names(found: Set[str], columns: PairColumns) -> tuple[str, str] | None:
    """Returns the columns of both texts of a table with scores; None if it lacks them."""
    known = ((columns.anchor, columns.positive), SENTENCES)
    return next((names for names in known if set(names) <= found), None)


def _read_scored_row(row: TableRow, names: tuple[str, str], column: str, report: Report) -> ScoredPair | None:
    if not _is_whole(row, report):
        return None
    first, second = (_read_text(row, name, report) for name in names)
    if first is None or second is None:
        return None
    try:
        return ScoredPair(first, second, read_score(row.values.get(column), column))
    except UnusableRow as e:
        report.skip(Reason.BROKEN, row.place, str(e))
        return None


def _is_whole(row: TableRow, report: Report) -> bool:
    if row.fault:
        report.skip(Reason.BROKEN, row.place, row.fault)
    return not row.fault


def _read_text(row: TableRow, column: str, report: Report) -> str | None:
    """Returns the text of a row; None, with a line in the report, if there is none."""
    value: Any = row.values.get(column)
    if isinstance(value, str) and (text := _clean(value)):
        return text
    if value is None or isinstance(value, str):
        report.skip(Reason.NULL if value is None else Reason.EMPTY, row.place, f"no text in {column!r}")
    else:
        report.skip(Reason.BROKEN, row.place, f"expected a text in {column!r}, found {type(value).__name__}")
    return None


def _clean(text: str) -> str:
    return replace_surrogates(text.strip())


def _measure(file: BinaryIO) -> int:
    size = file.seek(0, 2)
    file.seek(0)
    return size


@dataclass(frozen=True)
class ScoredSample(DocumentSample):
    """The beginning of a table with scores. pairs: it has the columns of pairs too, so it can also be trained on."""

    pairs: bool = False


def sample_pairs(path: Path, filename: str, columns: PairColumns) -> DocumentSample:
    """Reads at most about `MAX_BYTES` of the text of pairs, or of scored pairs. A document is a row.

    Returns a ScoredSample for a table with scores. Raises InvalidData if the file is broken or has no pair.
    """
    with path.open("rb") as file:
        scored, pairs = has_scores(file, filename, columns), _has_pairs(file, filename, columns)
    facts = _sample_rows(path, filename, columns, scored=scored and not pairs)
    return ScoredSample(*facts, pairs=pairs) if scored else DocumentSample(*facts)


def sample_texts(
    path: Path, filename: str, columns: PairColumns, text_column: str, documents: Documents
) -> DocumentSample:
    """Reads the beginning of a file of texts without pairs, as `sample_documents` does, or of a table with scores."""
    try:
        return sample_documents(path, filename, text_column, documents=documents)
    except InvalidData:
        with path.open("rb") as file:
            if not has_scores(file, filename, columns):
                raise
    return ScoredSample(*_sample_rows(path, filename, columns, scored=True))


def _sample_rows(
    path: Path, filename: str, columns: PairColumns, *, scored: bool
) -> tuple[int, int, float, tuple[str, ...], Report, Preview]:
    """Returns the fields of a DocumentSample, of pairs or of scored pairs. Raises InvalidData."""
    report, preview, texts, size, whole = Report(), TextPreview(None, None), list[str](), 0, True
    with path.open("rb") as file:
        for row in _open_rows(file, filename, columns, report, scored=scored):
            size += sum(len(text.encode()) for text in row)
            preview.add("\n".join(text for text in row if text), "")
            if sum(map(len, texts)) < MAX_TEXT:
                texts += [text[:MAX_TEXT] for text in row if text]
            if size >= MAX_BYTES:
                whole = False
                break
        read = path.stat().st_size if file.closed else file.tell()
    report.check("pairs")
    share = 1.0 if whole else min(1.0, read / path.stat().st_size)
    return report.usable, size, share, tuple(texts), report, preview.finish(report, share)


def _open_rows(
    file: BinaryIO, filename: str, columns: PairColumns, report: Report, *, scored: bool
) -> Iterator[tuple[str, ...]]:
    """Yields the texts of each row."""
    if scored:
        yield from ((pair.first, pair.second) for pair in read_scored(file, filename, columns, report))
    else:
        yield from read_pairs(file, filename, columns, report)
