"""The parts that all new tokenizers share: special tokens, normalization and the frame around a text."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tokenizers import AddedToken, Tokenizer, normalizers, processors

from app.methods.tokenizers import SPECIAL_TOKENS, TokenizerOptions

UNKNOWN = "[UNK]"
SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": UNKNOWN,
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
BPE_SPECIAL = {
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "mask_token": "<mask>",
}
LEAST_ENTRIES = 5  # entries beside the special tokens, whatever vocab_size says


@dataclass(frozen=True)
class Trained:
    """A new tokenizer, and its special tokens by role."""

    tokenizer: Tokenizer
    special: dict[str, str]


def room(options: TokenizerOptions) -> int:
    """Returns the number of entries beside the special tokens."""
    return max(options.vocab_size - SPECIAL_TOKENS, LEAST_ENTRIES)


def normalizer(options: TokenizerOptions) -> normalizers.Normalizer:
    """Returns the normalizer that keeps everything but the Unicode form (NFC), and what the options drop."""
    steps: list[normalizers.Normalizer] = []
    if options.strip_accents:
        steps += [normalizers.NFD(), normalizers.StripAccents()]
    if options.lowercase:
        steps.append(normalizers.Lowercase())
    return normalizers.Sequence([*steps, normalizers.NFC()])


def first_characters(documents: Iterable[str], most: int) -> Iterator[str]:
    """Yields documents until they have `most` characters together. The last one is cut."""
    for document in documents:
        yield document[:most]
        most -= len(document)
        if most <= 0:
            return


def number(entries: Iterable[str]) -> dict[str, int]:
    """Returns a vocabulary: the special tokens, then the entries."""
    return {entry: place for place, entry in enumerate(dict.fromkeys([*SPECIAL.values(), *entries]))}


def finish(tokenizer: Tokenizer, special: dict[str, str], *, mask_takes_space: bool) -> Trained:
    """Adds the special tokens and the frame of the first and the last token.

    mask_takes_space: a mask and the space before it are read as the mask alone. That is right where a word's token
    contains the space before it.
    """
    *others, mask = special.values()
    tokenizer.add_special_tokens(others)
    tokenizer.add_special_tokens([AddedToken(mask, lstrip=mask_takes_space, normalized=False, special=True)])
    first, last = special["cls_token"], special["sep_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} $B:1 {last}:1",
        special_tokens=[(first, tokenizer.token_to_id(first)), (last, tokenizer.token_to_id(last))],
    )
    return Trained(tokenizer, special)
