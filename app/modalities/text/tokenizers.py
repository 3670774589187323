"""New tokenizers, trained on a job's own documents, and what older ones of the same kind lack."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from app.methods.text import LONG_WORDS, WORD_CHARS

Trained = tuple[Tokenizer, dict[str, str]]

_UNKNOWN = "[UNK]"
_BPE_SPECIAL = {
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "mask_token": "<mask>",
}
ALPHABET = 2000  # entries for single letters, or half of the vocabulary if that is more; rarer letters are unknown
MIN_FREQUENCY = 2  # of a new entry: one that occurs once teaches nothing
_LONG = re.compile(rf"\S{{{WORD_CHARS + 1},}}")


def train_tokenizer(kind: str, documents: Iterable[str], vocab_size: int, max_length: int) -> PreTrainedTokenizerFast:
    """A `wordpiece` (uncased, like BERT's) or `bpe` (byte-level, like RoBERTa's) tokenizer.

    A small corpus may give fewer than `vocab_size` tokens. The same text gives the same tokenizer.
    """
    tokenizer, special = KINDS[kind](documents, vocab_size)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=max_length, **special)


def read_tokenizer(folder: Path) -> Tokenizer | None:
    """A model folder's fast tokenizer, which neither truncates nor pads; None if there is none."""
    file = folder / "tokenizer.json"
    if not file.is_file():
        return None
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def count_tokens(tokenizer: Tokenizer, texts: Sequence[str]) -> int:
    """Tokens of the texts, without special ones."""
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
    letters, continuing = _alphabet(texts, tokenizer, vocab_size - len(special))
    # The library numbers the continuing letters in the order of a hash map, which makes every
    # vocabulary another one; named beforehand, in order, they make it the same for the same text.
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=MIN_FREQUENCY,
        special_tokens=[*special.values(), *(f"##{letter}" for letter in continuing)],
        initial_alphabet=letters,
        limit_alphabet=len(letters),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_cut_words(texts), trainer)
    # Built anew, so that those letters are no special tokens.
    tokenizer = _empty_wordpiece(tokenizer.get_vocab())
    tokenizer.add_special_tokens(list(special.values()))
    _wrap(tokenizer, "[CLS]", "[SEP]")
    return tokenizer, special


def _empty_wordpiece(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=_UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    # Thai, Lao, Khmer, DNA and proteins are written without spaces: a line of them is one word. WordPiece makes an
    # unknown token of a word of more than 100 characters.
    cut = pre_tokenizers.Split(Regex(LONG_WORDS), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.BertPreTokenizer(), cut])
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def _alphabet(texts: Iterable[str], tokenizer: Tokenizer, room: int) -> tuple[list[str], list[str]]:
    """(letters, those of them that may go on with a word), the most frequent ones if not all fit.

    room: entries of the vocabulary. Each letter takes one, or two if it may go on with a word.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(tokenizer.normalizer.normalize_str(text))
    room = max(room // 2, min(room, ALPHABET))
    letters, continuing = [], []
    for letter in sorted(counts, key=lambda letter: (-counts[letter], letter)):
        if letter.isspace():
            continue
        # Marks and ideographs are words of their own.
        joins = len(tokenizer.pre_tokenizer.pre_tokenize_str(f"a{letter}")) == 1
        room -= 1 + joins
        if room < 0:
            break
        letters.append(letter)
        if joins:
            continuing.append(letter)
    return sorted(letters), sorted(continuing)


def _train_bpe(documents: Iterable[str], vocab_size: int) -> Trained:
    special = dict(_BPE_SPECIAL)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=max(vocab_size, 256 + len(special)),  # every byte has a token, so nothing is unknown
        special_tokens=list(special.values()),
        min_frequency=MIN_FREQUENCY,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_cut_words(documents), trainer)
    strip_space_before_mask(tokenizer)
    _wrap(tokenizer, "<s>", "</s>")
    return tokenizer, special


def _cut_words(documents: Iterable[str]) -> Iterator[str]:
    """The documents, cut within their long words: training costs the square of a word's length."""
    for document in documents:
        start = 0
        for word in _LONG.finditer(document):
            for end in range(word.start() + WORD_CHARS, word.end(), WORD_CHARS):
                yield document[start:end]
                start = end
        yield document[start:]


def _wrap(tokenizer: Tokenizer, first: str, last: str) -> None:
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} $B:1 {last}:1",
        special_tokens=[(first, tokenizer.token_to_id(first)), (last, tokenizer.token_to_id(last))],
    )


KINDS: dict[str, Callable[[Iterable[str], int], Trained]] = {"wordpiece": _train_wordpiece, "bpe": _train_bpe}
