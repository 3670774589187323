"""The kinds of new tokenizers."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.methods.tokenizers import TokenizerKind, TokenizerOptions
from app.modalities.text.new_tokenizers.assembly import Trained
from app.modalities.text.new_tokenizers.letters import train_bytes, train_characters, train_kmer, train_regex
from app.modalities.text.new_tokenizers.subwords import train_bpe, train_unigram, train_wordpiece

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class KindDescriptor:
    """A kind of tokenizer.

    train: trains one on documents.
    keeps: what decoding restores of a text whose tokens are all known, in words.
    """

    train: Callable[[Iterable[str], TokenizerOptions], Trained]
    keeps: str


KINDS: dict[TokenizerKind, KindDescriptor] = {
    "wordpiece": KindDescriptor(train_wordpiece, "words and marks; not white space"),
    "bpe": KindDescriptor(train_bpe, "every byte"),
    "unigram": KindDescriptor(train_unigram, "every character, in Unicode's form NFC; not a space at the beginning"),
    "characters": KindDescriptor(train_characters, "every character, in Unicode's form NFC"),
    "regex": KindDescriptor(train_regex, "every character, in Unicode's form NFC"),
    "kmer": KindDescriptor(train_kmer, "every letter, in upper case"),
    "bytes": KindDescriptor(train_bytes, "every byte"),
}


def train(documents: Iterable[str], options: TokenizerOptions) -> Trained:
    """Trains a tokenizer of the kind that the options name, which is not auto or base.

    A small corpus may give fewer than `vocab_size` tokens. The same text gives the same tokenizer, except for the last
    digits of unigram's scores.

    Raises:
        InvalidValue: The options do not suit the text.
    """
    return KINDS[options.tokenizer].train(documents, options)  # type: ignore[index]


def train_tokenizer(documents: Iterable[str], options: TokenizerOptions, max_length: int) -> "PreTrainedTokenizerFast":
    """As `train`, in the form that models are saved with. max_length: tokens of a text that the model reads."""
    from transformers import PreTrainedTokenizerFast

    trained = train(documents, options)
    return PreTrainedTokenizerFast(tokenizer_object=trained.tokenizer, model_max_length=max_length, **trained.special)
