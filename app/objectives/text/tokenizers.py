"""New tokenizers, trained on a job's own documents, and what older ones of the same kind lack."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

Trained = tuple[Tokenizer, dict[str, str]]

_UNKNOWN = "[UNK]"
_BPE_SPECIAL = {
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "mask_token": "<mask>",
}
MAX_LETTERS = 1000  # rarer ones become unknown, as in BERT's own vocabulary


def train_tokenizer(kind: str, documents: Iterable[str], vocab_size: int, max_length: int) -> PreTrainedTokenizerFast:
    """A `wordpiece` (uncased, like BERT's) or `bpe` (byte-level, like RoBERTa's) tokenizer.

    A small corpus may give fewer than `vocab_size` tokens. The same text gives the same tokenizer.
    """
    tokenizer, special = KINDS[kind](documents, vocab_size)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=max_length, **special)


def count_tokens(folder: Path, texts: Sequence[str]) -> int | None:
    """Tokens of the texts, without special ones, by a model folder's tokenizer; None without a fast one."""
    file = folder / "tokenizer.json"
    if not file.is_file():
        return None
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return sum(len(e.ids) for e in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False))


def strip_space_before_mask(tokenizer: Tokenizer) -> None:
    """Makes the mask of a byte-level BPE tokenizer take the space before it, as RoBERTa's and ModernBERT's do.

    In training a masked token is a word with its space (`Ġblue`). A mask that leaves the space to a token of its own
    asks for something that no training text holds.
    """
    tokenizer.add_special_tokens([AddedToken(_BPE_SPECIAL["mask_token"], lstrip=True, normalized=False, special=True)])


def keeps_space_before_mask(folder: Path) -> bool:
    """Whether a model folder's tokenizer is one of `_train_bpe` from before its mask took the space.

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
        [token["content"] for _, token in sorted(added.items())] == list(_BPE_SPECIAL.values())
        and sorted(added) == list(range(len(_BPE_SPECIAL)))
        and not added[len(_BPE_SPECIAL) - 1]["lstrip"]
        and described["model"]["type"] == "BPE"
        and described["normalizer"] is None
        and plain.get("type") == "ByteLevel"
        and not plain["add_prefix_space"]
    )


def _train_wordpiece(documents: Iterable[str], vocab_size: int) -> Trained:
    special = {
        "pad_token": "[PAD]",
        "unk_token": _UNKNOWN,
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }
    texts = list(documents)
    tokenizer = _empty_wordpiece({})
    # The library numbers the continuing letters in the order of a hash map, which makes every
    # vocabulary another one; named beforehand, in order, they make it the same for the same text.
    letters = _frequent_letters(texts, tokenizer.normalizer)
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=[*special.values(), *(f"##{letter}" for letter in letters)],
        initial_alphabet=letters,
        limit_alphabet=len(letters),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    # Built anew, so that those letters are no special tokens.
    tokenizer = _empty_wordpiece(tokenizer.get_vocab())
    tokenizer.add_special_tokens(list(special.values()))
    _wrap(tokenizer, "[CLS]", "[SEP]")
    return tokenizer, special


def _empty_wordpiece(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=_UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def _frequent_letters(texts: Iterable[str], normalizer: normalizers.Normalizer) -> list[str]:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(normalizer.normalize_str(text))
    ranked = sorted(counts, key=lambda letter: (-counts[letter], letter))
    return sorted(letter for letter in ranked[:MAX_LETTERS] if not letter.isspace())


def _train_bpe(documents: Iterable[str], vocab_size: int) -> Trained:
    special = dict(_BPE_SPECIAL)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=max(vocab_size, 256 + len(special)),  # every byte has a token, so nothing is unknown
        special_tokens=list(special.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    strip_space_before_mask(tokenizer)
    _wrap(tokenizer, "<s>", "</s>")
    return tokenizer, special


def _wrap(tokenizer: Tokenizer, first: str, last: str) -> None:
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} $B:1 {last}:1",
        special_tokens=[(first, tokenizer.token_to_id(first)), (last, tokenizer.token_to_id(last))],
    )


KINDS: dict[str, Callable[[Iterable[str], int], Trained]] = {"wordpiece": _train_wordpiece, "bpe": _train_bpe}
