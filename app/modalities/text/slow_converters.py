"""Tokenizers of Python code → the same steps for the library tokenizers, by the name of their class."""

from collections.abc import Callable, Mapping
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from app.errors import InvalidModel

_END = "</w>"  # of an entry that ends a word
_CONTINUED = "@@"  # of an entry that does not, in the files of fastBPE
_WORDS = r"[^\s\x1c-\x1f]+\n?"  # Python's \S+\n?, whose white space has four more characters


def _convert_esm(tokenizer: Any, roles: Mapping[str, str]) -> Tokenizer:
    """Longest entries first, at any place; what lies between entries is one unknown token."""
    vocabulary = {entry: number for number, entry in enumerate(tokenizer.all_tokens)}
    fast = Tokenizer(models.WordLevel(vocabulary, unk_token=roles["unk_token"]))
    entries = "|".join(map(_escape, sorted(vocabulary, key=len, reverse=True)))
    fast.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(entries), "isolated")]
    )
    fast.decoder = decoders.Fuse()
    return _complete(fast, tokenizer, roles["cls_token"], [roles["eos_token"]])


def _convert_bert(tokenizer: Any, roles: Mapping[str, str]) -> Tokenizer:
    """WordPiece, after BERT's cleaning and splitting unless `do_basic_tokenize` is off."""
    fast = Tokenizer(models.WordPiece(dict(tokenizer.vocab), unk_token=roles["unk_token"]))
    fast.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if tokenizer.do_basic_tokenize:
        basic = tokenizer.basic_tokenizer
        fast.normalizer = normalizers.BertNormalizer(
            handle_chinese_chars=basic.tokenize_chinese_chars,
            strip_accents=basic.strip_accents,
            lowercase=basic.do_lower_case,
        )
        fast.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    fast.decoder = decoders.WordPiece()
    return _complete(fast, tokenizer, roles["cls_token"], [roles["sep_token"]])


def _convert_fast_bpe(tokenizer: Any, roles: Mapping[str, str]) -> Tokenizer:
    """BPE of words between white space, with a vocabulary of the program fastBPE.

    Its files mark entries that a word continues after; the library marks those that end a word.
    """
    if getattr(tokenizer, "normalization", False):
        raise InvalidModel(f"{type(tokenizer).__name__} rewrites tweets, which a fast tokenizer cannot do")
    special = set(roles.values())
    vocabulary = {
        entry if entry in special else _mark_end(entry): number for entry, number in tokenizer.encoder.items()
    }
    merges = list(tokenizer.bpe_ranks)
    missing = {part for a, b in merges for part in (a, b, a + b)} - vocabulary.keys()
    if missing:
        raise InvalidModel(
            f"{type(tokenizer).__name__} has no exact fast form (tokenizer.json): its merges make {len(missing)}"
            f" parts of words that its vocabulary lacks, such as {min(missing)!r}"
        )
    fast = Tokenizer(models.BPE(vocabulary, merges, unk_token=roles["unk_token"], end_of_word_suffix=_END))
    fast.pre_tokenizer = pre_tokenizers.Split(Regex(_WORDS), "removed", invert=True)
    fast.decoder = decoders.BPEDecoder(suffix=_END)
    last = roles["sep_token"]
    return _complete(fast, tokenizer, roles["cls_token"], [last], between=[last, last])


def _complete(
    fast: Tokenizer, tokenizer: Any, first: str, last: list[str], between: list[str] | None = None
) -> Tokenizer:
    """Adds the added tokens, and the special tokens around a text and between two."""
    for _, token in sorted(tokenizer.added_tokens_decoder.items()):
        (fast.add_special_tokens if token.special else fast.add_tokens)([token])
    around, end = [first, *last], " ".join(f"{token}:1" for token in last)
    fast.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {' '.join(last)}",
        pair=f"{first} $A {' '.join(between or last)} $B:1 {end}",
        special_tokens=[(token, fast.token_to_id(token)) for token in dict.fromkeys(around)],
    )
    return fast


def _mark_end(entry: str) -> str:
    return entry.removesuffix(_CONTINUED) if entry.endswith(_CONTINUED) and entry != _CONTINUED else entry + _END


def _escape(entry: str) -> str:
    """An entry as a pattern of Oniguruma."""
    return "".join(letter if letter.isalnum() else f"\\{letter}" for letter in entry)


CONVERTERS: dict[str, Callable[[Any, Mapping[str, str]], Tokenizer]] = {
    "BertTokenizerLegacy": _convert_bert,
    "BertweetTokenizer": _convert_fast_bpe,
    "EsmTokenizer": _convert_esm,
    "PhobertTokenizer": _convert_fast_bpe,
}
