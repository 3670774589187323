"""The share of a job's text that its tokenizer does not know."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from tokenizers import Tokenizer

from app.datasets.documents import read_documents
from app.methods import MlmHyperparameters
from app.modalities.text.unknown import REFUSED_SHARE, Unknown, find_unknown, unknown_id
from app.training.data.shards import Shard
from app.training.data.source_file import SourceFile

SAMPLE_CHARS = 300_000  # characters that are judged of a file
DOCUMENT_CHARS = 10_000  # and of one document
SPREAD = 500  # documents, evenly over the file, that are judged if its beginning looks bad
BLOCK = 4_000_000  # tokens in memory at once


def measure_unknown(file: SourceFile, shard: Shard, tokenizer: Tokenizer, hp: MlmHyperparameters) -> Unknown:
    """Estimates the unknown share of a file.

    Reads the file's beginning and finds documents of unknown tokens only. If the beginning looks bad, reads documents
    from the whole file.
    """
    number = unknown_id(tokenizer)
    if number is None or not len(shard.tokens):
        return Unknown()
    found = find_unknown(tokenizer, list(_sample(file, hp, 1, DOCUMENT_CHARS)))
    if found.share > REFUSED_SHARE and len(shard.ends) > SPREAD:
        # The beginning may differ from the rest, so the whole file is read before it is refused.
        found = find_unknown(tokenizer, list(_sample(file, hp, len(shard.ends) // SPREAD, SAMPLE_CHARS // SPREAD)))
    return replace(found, share=max(found.share, _unknown_documents_share(shard, number)))


def combine_unknown(files: tuple[SourceFile, ...], shards: list[Shard], found: list[Unknown]) -> Unknown:
    """Returns the unknown share of all files, weighted by their lengths and weights."""
    sizes = [file.weight * float(shard.characters.sum()) for file, shard in zip(files, shards, strict=True)]
    share = sum(each.share * size for each, size in zip(found, sizes, strict=True)) / max(sum(sizes), 1.0)
    return Unknown(share, max(found, key=lambda each: each.share).examples)


def _sample(file: SourceFile, hp: MlmHyperparameters, step: int, max_chars: int) -> Iterator[str]:
    """Yields up to `max_chars` characters of each `step`-th document, up to SAMPLE_CHARS in all."""
    taken = 0
    documents = read_documents(file.path, file.filename, hp.text_column, documents=hp.documents)
    for number, document in enumerate(documents):
        too_short = hp.min_characters is not None and len(document) < hp.min_characters
        too_long = hp.max_characters is not None and len(document) > hp.max_characters
        if number % step or too_short or too_long:
            continue
        yield document[:max_chars]
        taken += min(len(document), max_chars)
        if taken >= SAMPLE_CHARS:
            return


def _unknown_documents_share(shard: Shard, number: int) -> float:
    """Returns the share of characters in documents of which every token is `number`."""
    with_tokens = np.flatnonzero(np.diff(shard.ends, prepend=0))
    starts, characters = shard.starts[with_tokens], shard.characters[with_tokens]
    lost, first = 0, 0
    while first < len(with_tokens):  # in blocks of documents, to bound memory
        last = max(first + 1, int(np.searchsorted(starts, starts[first] + BLOCK)))
        end = starts[last] if last < len(with_tokens) else len(shard.tokens)
        known = shard.tokens[starts[first] : end] != number
        has_known = np.logical_or.reduceat(known, starts[first:last] - starts[first])
        lost += int(characters[first:last][~has_known].sum())
        first = last
    return lost / max(int(shard.characters.sum()), 1)
