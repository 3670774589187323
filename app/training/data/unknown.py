"""Whether a job's tokenizer can write the job's data."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from tokenizers import Tokenizer

from app.datasets.documents import read_documents
from app.methods import MlmHyperparameters
from app.modalities.text.unknown import REFUSED_SHARE, Unknown, find_unknown, unknown_id
from app.training.data.shards import Shard
from app.training.data.source_file import SourceFile

SAMPLE_CHARS = 300_000  # of a file's text
DOCUMENT_CHARS = 10_000  # of one document
SPREAD = 500  # documents, evenly over a file
BLOCK = 4_000_000  # tokens in memory at once


def measure_unknown(file: SourceFile, shard: Shard, tokenizer: Tokenizer, hp: MlmHyperparameters) -> Unknown:
    """Judges a file by its beginning, by documents of nothing but unknown tokens, and by more where it looks bad."""
    number = unknown_id(tokenizer)
    if number is None or not len(shard.tokens):
        return Unknown()
    found = find_unknown(tokenizer, list(_sample(file, hp, 1, DOCUMENT_CHARS)))
    if found.share > REFUSED_SHARE and len(shard.ends) > SPREAD:
        # The beginning may be unlike the rest, so the whole file is read before it is refused.
        found = find_unknown(tokenizer, list(_sample(file, hp, len(shard.ends) // SPREAD, SAMPLE_CHARS // SPREAD)))
    return replace(found, share=max(found.share, _lost_documents(shard, number)))


def combine_unknown(files: tuple[SourceFile, ...], shards: list[Shard], found: list[Unknown]) -> Unknown:
    """All files together, by their lengths and weights."""
    sizes = [file.weight * float(shard.characters.sum()) for file, shard in zip(files, shards, strict=True)]
    share = sum(each.share * size for each, size in zip(found, sizes, strict=True)) / max(sum(sizes), 1.0)
    return Unknown(share, max(found, key=lambda each: each.share).examples)


def _sample(file: SourceFile, hp: MlmHyperparameters, step: int, most: int) -> Iterator[str]:
    """Each `step`th document, `most` characters of it, up to SAMPLE_CHARS in all."""
    taken = 0
    for number, document in enumerate(read_documents(file.path, file.filename, hp.text_column)):
        if number % step or not (hp.min_characters or 0) <= len(document) <= (hp.max_characters or len(document)):
            continue
        yield document[:most]
        taken += min(len(document), most)
        if taken >= SAMPLE_CHARS:
            return


def _lost_documents(shard: Shard, number: int) -> float:
    """The share of the characters that is in documents of nothing but the token `number`."""
    full = np.flatnonzero(np.diff(shard.ends, prepend=0))
    starts, characters = shard.starts[full], shard.characters[full]
    lost, first = 0, 0
    while first < len(full):
        last = max(first + 1, int(np.searchsorted(starts, starts[first] + BLOCK)))
        end = starts[last] if last < len(full) else len(shard.tokens)
        known = shard.tokens[starts[first] : end] != number
        lost += int(characters[first:last][~np.logical_or.reduceat(known, starts[first:last] - starts[first])].sum())
        first = last
    return lost / max(int(shard.characters.sum()), 1)
