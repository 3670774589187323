"""Tokenizers of model folders, and what those lack that earlier versions trained."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tokenizers import AddedToken, Tokenizer, models

from app.methods.tokenizers import TokenizerKind
from app.modalities.text.new_tokenizers.assembly import BPE_SPECIAL

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_MOST_LETTERS = 512  # entries of a vocabulary of bytes or letters
_KMER = re.compile(r"[A-Z]+|[A-Z][a-z]*")  # side by side, or overlapping


def read_tokenizer(folder: Path) -> Tokenizer | None:
    """A model folder's fast tokenizer, which neither truncates nor pads; None if there is none."""
    file = folder / "tokenizer.json"
    if not file.is_file():
        return None
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def keep_whole(tokenizer: "PreTrainedTokenizerBase", prompts: Iterable[str]) -> None:
    """Makes the tokenizer read the first token of prompts as one, where the vocabulary has it and texts do not.

    As sentence-transformers does for ColBERT models, whose prompts were trained as token ids: the whole prompt may be
    an entry, as PyLate's `[Q] `, or its first word, as Stanford's `[unused0]`.
    """
    vocabulary = tokenizer.get_vocab()
    found = []
    for prompt in prompts:
        entry = next((each for each in (prompt, *prompt.split(None, 1)[:1]) if each in vocabulary), None)
        if entry is not None and tokenizer.tokenize(entry) != [entry]:
            found.append(AddedToken(entry, normalized=False, special=True))
    if found:
        tokenizer.add_special_tokens({"additional_special_tokens": found})


def find_kind(tokenizer: Tokenizer) -> TokenizerKind:
    """Returns the kind that a job would call the tokenizer, from its model and its vocabulary."""
    model = tokenizer.model
    if isinstance(model, models.WordPiece):
        return "wordpiece"
    if isinstance(model, models.Unigram):
        return "unigram"
    if isinstance(model, models.BPE):
        return "bytes" if find_unit(tokenizer) == "token" else "bpe"
    special = {added.content for added in tokenizer.get_added_tokens_decoder().values()}
    entries = tokenizer.get_vocab().keys() - special
    if all(len(entry) == 1 for entry in entries):
        return "characters"
    return "kmer" if all(_KMER.fullmatch(entry) for entry in entries) else "regex"


def find_unit(tokenizer: Tokenizer) -> Literal["word", "token"]:
    """Returns what a mask in a text can replace without a change of the tokens around it.

    Tokens that are looked up one by one, or bytes that nothing merges, do not depend on their neighbours. All other
    tokenizers divide words into parts, and a mask within a word divides it at another place.
    """
    model = tokenizer.model
    if isinstance(model, models.WordLevel):
        return "token"
    # A larger vocabulary has merges, and takes long to be written.
    if isinstance(model, models.BPE) and tokenizer.get_vocab_size() <= _MOST_LETTERS:
        return "word" if json.loads(tokenizer.to_str())["model"]["merges"] else "token"
    return "word"


def strip_space_before_mask(tokenizer: Tokenizer) -> None:
    """Makes the mask of a byte-level BPE tokenizer take the space before it, as RoBERTa's and ModernBERT's do.

    In training a masked token is a word with its space (`Ġblue`). A mask that leaves the space to a token of its own
    asks for something that no training text holds.
    """
    tokenizer.add_special_tokens([AddedToken(BPE_SPECIAL["mask_token"], lstrip=True, normalized=False, special=True)])


def keeps_space_before_mask(folder: Path) -> bool:
    """Whether a model folder's tokenizer is one of `train_bpe` from before its mask took the space.

    No other tool known makes these special tokens with these ids, and each such tokenizer was trained on text without
    masks, so `strip_space_before_mask` is right for it wherever the folder comes from.
    """
    file = folder / "tokenizer.json"
    if not file.is_file():
        return False
    described = json.loads(file.read_text(encoding="utf-8"))
    added = {token["id"]: token for token in described["added_tokens"]}
    plain = described["pre_tokenizer"] or {}
    return (
        [token["content"] for _, token in sorted(added.items())] == list(BPE_SPECIAL.values())
        and sorted(added) == list(range(len(BPE_SPECIAL)))
        and not added[len(BPE_SPECIAL) - 1]["lstrip"]
        and described["model"]["type"] == "BPE"
        and described["normalizer"] is None
        and plain.get("type") == "ByteLevel"
        and not plain["add_prefix_space"]
    )
