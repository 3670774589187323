"""Vectors of the parts of a text: its tokens, its words or its chunks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidValue
from app.modalities.embedding import MAX_CHUNKS, EmbedItem, TextPart
from app.modalities.text.chunks import Span, cut_chunks, lay_windows
from app.modalities.text.embed_rows import EmbedRows, RowOptions, TextEmbedInputs
from app.modalities.text.encoding import Content

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class PartsPlan:
    """The rows of an item, its parts [P], and the way from the raw results of the rows to their vectors [P, D]."""

    rows: Sequence[TextEmbedInputs]
    parts: Sequence[TextPart]
    join: Callable[[Sequence[Floats]], Floats]


def plan_parts(rows: EmbedRows, item: EmbedItem, options: RowOptions) -> PartsPlan:
    """Plans the output that an item asks for.

    options: with the pooling of chunks; None where vectors of tokens are wanted.
    Raises InputTooLong, EmptyInput and InvalidValue.
    """
    return _PLANS["late" if item.output == "chunks" and item.chunks.late else item.output](rows, item, options)


def _plan_tokens(rows: EmbedRows, item: EmbedItem, options: RowOptions) -> PartsPlan:
    row, tokens, _ = rows.make_described(item, options)
    return PartsPlan([row], tokens, _only)


def _plan_words(rows: EmbedRows, item: EmbedItem, options: RowOptions) -> PartsPlan:
    """Plans the mean of each word's tokens. Words are what the tokenizer splits a text into before it finds tokens."""
    if not isinstance(item.input, str):
        raise InvalidValue("only a text has words, not token ids or files", param="output")
    row, tokens, words = rows.make_described(item, options)
    groups = (list(group) for word, group in groupby(range(len(words)), words.__getitem__) if word >= 0)
    segments = [(group[0], group[-1] + 1) for group in groups]
    found = [(_strip(item.input, tokens[a].start or 0, tokens[b - 1].end or 0), (a, b)) for a, b in segments]
    found = [(part, segment) for part, segment in found if part.text]
    if not found:
        raise InvalidValue("the input has no words", param="input")
    segments = [segment for _, segment in found]
    sizes = np.array([end - start for start, end in segments], np.float32)
    return PartsPlan(
        [replace(row, segments=tuple(segments))],
        [part for part, _ in found],
        lambda raws: raws[0] / sizes[:, np.newaxis],
    )


def _plan_chunks(rows: EmbedRows, item: EmbedItem, options: RowOptions) -> PartsPlan:
    """Plans a row for each chunk."""
    content, spans = _cut(rows, item, options)
    return PartsPlan(
        [rows.wrap(content.ids[start:end], options) for start, end in spans],
        _describe(item, content, spans),
        _stack,
    )


def _plan_late_chunks(rows: EmbedRows, item: EmbedItem, options: RowOptions) -> PartsPlan:
    """Plans late chunking (Günther et al., arXiv 2409.04701): chunks are the means of tokens that see the whole text.

    A text that is longer than the model reads is read in windows that overlap; each token is taken from the window in
    which it has most context.
    """
    content, spans = _cut(rows, item, options)
    made, of_rows = [], []
    for window in lay_windows(len(content.ids), rows.room(options.prompt)):
        first, last = window.span
        cuts = [(max(a, window.owned[0]), min(b, window.owned[1])) for a, b in spans]
        owned = [(nth, (a - first, b - first)) for nth, (a, b) in enumerate(cuts) if a < b]
        segments = tuple(segment for _, segment in owned)
        made.append(rows.wrap(content.ids[first:last], replace(options, pooling=None), segments))
        of_rows.append([nth for nth, _ in owned])
    return PartsPlan(made, _describe(item, content, spans), partial(_add_up, spans, of_rows))


def _add_up(spans: Sequence[Span], of_rows: Sequence[Sequence[int]], raws: Sequence[Floats]) -> Floats:
    """Returns the mean of each span. of_rows: for each row the spans that it has sums [S, H] of tokens of."""
    total = np.zeros((len(spans), raws[0].shape[-1]), np.float32)
    for nths, raw in zip(of_rows, raws, strict=True):
        total[list(nths)] += raw
    sizes = np.array([end - start for start, end in spans], np.float32)
    return total / sizes[:, np.newaxis]


def _cut(rows: EmbedRows, item: EmbedItem, options: RowOptions) -> tuple[Content, list[Span]]:
    """Returns the content of a text and its chunks. Raises InvalidValue."""
    content = rows.read_document(item, options.prompt)
    size = min(item.chunks.size, rows.room(options.prompt))
    if item.chunks.overlap >= size:
        raise InvalidValue(
            f"chunk_overlap is {item.chunks.overlap}, and a chunk has {size} tokens", param="chunk_overlap"
        )
    spans = cut_chunks(content.words, size, item.chunks.overlap)
    if len(spans) > MAX_CHUNKS:
        raise InvalidValue(
            f"the text makes {len(spans)} chunks, where {MAX_CHUNKS} are allowed: raise chunk_size or lower"
            " chunk_overlap",
            param="chunk_size",
        )
    return content, spans


def _describe(item: EmbedItem, content: Content, spans: Sequence[Span]) -> list[TextPart]:
    return [_strip(str(item.input), content.offsets[a][0], content.offsets[b - 1][1]) for a, b in spans]


def _strip(text: str, start: int, end: int) -> TextPart:
    """Returns a part of a text without the white space around it, which the tokens of some vocabularies contain."""
    part = text[start:end]
    start += len(part) - len(part.lstrip())
    return TextPart(part.strip(), start, start + len(part.strip()))


def _stack(raws: Sequence[Floats]) -> Floats:
    return np.stack(raws)


def _only(raws: Sequence[Floats]) -> Floats:
    return raws[0]


_PLANS: Mapping[str, Callable[[EmbedRows, EmbedItem, RowOptions], PartsPlan]] = {
    "tokens": _plan_tokens,
    "words": _plan_words,
    "chunks": _plan_chunks,
    "late": _plan_late_chunks,
}
