"""The share of a text that a tokenizer cannot write, with examples."""

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from app.errors import InvalidData
from app.methods import MlmHyperparameters

REFUSED_SHARE = 0.5  # more of the data than this is unknown: there is next to nothing to learn
WARNED_SHARE = 0.03
_EXAMPLES, _SHOWN = 3, 40  # how many, and characters of each


@dataclass(frozen=True)
class Unknown:
    """share: of the characters that are not white space. examples: words that became the unknown token."""

    share: float = 0.0
    examples: tuple[str, ...] = ()

    def describe(self) -> str:
        shown = ", ".join(repr(word) for word in self.examples)
        return f"{self.share:.1%} of the text is unknown to the tokenizer" + (f", such as {shown}" if shown else "")

    def check(self, advice: str, param: str) -> None:
        """Raises InvalidData if the tokenizer turns most of the text into the unknown token."""
        if self.share > REFUSED_SHARE:
            raise InvalidData(f"{self.describe()}; from an unknown token a model learns nothing. {advice}", param=param)


def advise(stored: bool, hp: MlmHyperparameters) -> str:
    """Returns advice about unknown text. stored: the job continues a stored model, else it trains a preset."""
    if stored:
        return "Train a preset, whose new tokenizer is made for this text, or continue another model."
    if hp.tokenizer_model:
        return "Leave out tokenizer_model, so that a new tokenizer is made for this text."
    return "Use the tokenizer bpe, which can write every text, or a larger vocab_size."


def unknown_id(tokenizer: Tokenizer) -> int | None:
    """The unknown token; None for vocabularies that can write every text, such as byte-level ones."""
    name = getattr(tokenizer.model, "unk_token", "<unk>")  # a Unigram model knows only its number
    return None if name is None else tokenizer.token_to_id(name)


def find_unknown(tokenizer: Tokenizer, texts: Sequence[str]) -> Unknown:
    """tokenizer: without truncation and padding."""
    if (number := unknown_id(tokenizer)) is None:
        return Unknown()
    lost = total = 0
    examples: dict[str, None] = {}
    for text, encoding in zip(texts, tokenizer.encode_batch(list(texts), add_special_tokens=False), strict=True):
        total += _solid(text)
        for token, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
            if token == number:
                word = text[start:end].strip()
                lost += _solid(word)
                if len(examples) < _EXAMPLES:
                    examples[word[:_SHOWN] + "…" * (len(word) > _SHOWN)] = None
    return Unknown(lost / max(total, 1), tuple(examples))


def _solid(text: str) -> int:
    """Returns the number of characters that are not white space."""
    return sum(map(len, text.split()))
