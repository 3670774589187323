"""Starts of words in the vocabularies of tokenizers."""

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase


def mark_continuations(tokenizer: PreTrainedTokenizerBase, size: int) -> NDArray[np.bool_]:
    """Returns which tokens go on with the word before them, [V], by the vocabulary's own convention."""
    tokens = tokenizer.convert_ids_to_tokens(list(range(size)))
    if any(t.startswith("##") for t in tokens):
        return np.array([t.startswith("##") for t in tokens])
    # Byte-level BPE and SentencePiece mark the start of a word instead. Where nothing is marked, as in vocabularies of
    # letters, each token is a word of its own.
    starts = np.array([t.startswith(("Ġ", "▁", "Ċ")) for t in tokens])
    return ~starts if starts.any() else starts
