"""Similarity of a text and others, as Hugging Face's dialects ask for it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import numpy as np

from app.errors import AppError
from app.inference.client import Client
from app.inference.service import Answer, OpenModel
from app.modalities.embedding import EmbedItem, EmbedResult
from app.types import Task

Written = TypeVar("Written")


async def compare(
    model: OpenModel,
    source: str,
    others: Sequence[str],
    client: Client,
    *,
    to_item: Callable[[str], EmbedItem],
    write: Callable[[list[float], int], Written],
) -> Written:
    """Returns what `write` makes of the cosines of a text and others, and of the number of tokens that were read.

    to_item: makes an item with a pooled vector of length 1. Errors name the fields of the dialect.
    """
    try:
        return await model.run(
            Task.EMBED, [source, *others], client, to_item=to_item, write=partial(_write_cosines, write)
        )
    except AppError as error:
        if error.index is not None:
            error.param = "inputs.sentences" if error.index else "inputs.source_sentence"
            error.index = error.index - 1 if error.index else None
        raise


def _write_cosines(write: Callable[[list[float], int], Written], answer: Answer[EmbedResult]) -> Written:
    source, *others = [result.vector for result in answer.results]
    tokens = sum(result.tokens for result in answer.results)
    return write([float(np.dot(source, other)) for other in others], tokens)
