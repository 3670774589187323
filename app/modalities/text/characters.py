"""Facts about vocabularies, by which the losses of different tokenizers can be compared."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from app.modalities.text.tokenizers import find_kind

# Letters that stand for the bytes 128 to 191 in byte-level tokens, which continue a character of UTF-8. Bytes that are
# no printable letter of Latin-1 have letters from 256 on, in their order (GPT-2's bytes_to_unicode).
_CONTINUATIONS = {chr(code) for code in (*range(0xA1, 0xAD), *range(0xAE, 0xC0), *range(290, 324))}
_FIRST_IDEOGRAPH = "\u2e80"  # scripts from here on are written without spaces


def count_characters(tokenizer: PreTrainedTokenizerBase) -> NDArray[np.float32]:
    """Returns the number of characters of each token, [V]. It is 0 for a byte that continues a character.

    The space before a word belongs to the word's first token. WordPiece does not keep spaces, so each letter or digit
    that begins a token there is taken to follow one.
    """
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    if any(token.startswith("##") for token in tokens):
        lengths = [len(token) - 2 if token.startswith("##") else len(token) + _has_space(token) for token in tokens]
    elif any(token.startswith("Ġ") for token in tokens):  # byte-level: a token's letters stand for bytes
        lengths = [sum(letter not in _CONTINUATIONS for letter in token) for token in tokens]
    else:  # SentencePiece writes a space as one letter
        lengths = [len(token) for token in tokens]
    return np.array(lengths, dtype=np.float32)


def describe_tokenizer(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Returns the kind and the size of a tokenizer, and a digest by which vocabularies are told apart."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    entries = "\n".join(tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))))
    return {
        "tokenizer": type(tokenizer).__name__ if backend is None else find_kind(backend),
        "vocab_size": len(tokenizer),
        "vocabulary": hashlib.sha256(entries.encode(errors="surrogatepass")).hexdigest()[:12],
    }


def _has_space(token: str) -> bool:
    return token[:1].isalnum() and token[0] < _FIRST_IDEOGRAPH
