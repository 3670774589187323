"""Texts of which each letter is one token, such as proteins of a tokenizer of letters."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from app.errors import InvalidValue
from app.modalities.text.encoding import Content, TextEncoder


@dataclass(frozen=True)
class LetterText:
    """A text of which each letter is one token, wherever it stands.

    letters: of the text, without white space between them. ids: token of each. spaced: they are written with spaces
    between them, as for models whose tokens are words of one letter.
    """

    letters: str
    ids: list[int]
    spaced: bool


class LetterReader:
    """Reads texts as letters, and finds the tokens of letters that could stand in them."""

    def __init__(self, encoder: TextEncoder, vocabulary: int) -> None:
        self._encoder, self._vocabulary = encoder, vocabulary
        self._unknown = encoder.tokenizer.unk_token_id

    def read(self, text: str) -> LetterText:
        """Raises EmptyInput, and InvalidValue for a text with a letter that is not one token, or not always the same.

        The text has at most `TextEncoder.max_characters`.
        """
        content = self._encoder.content(text)
        letters = "".join(text.split())
        if fault := _find_fault(text, letters, content):
            raise InvalidValue(f"variants need a model that reads each letter as one token; {fault}", param="input")
        return LetterText(letters, content.ids, spaced=len(text.split()) == len(letters) > 1)

    def is_known(self, token: int) -> bool:
        """Whether a token stands for itself, and the model has it."""
        return token != self._unknown and token < self._vocabulary

    def alphabet(self) -> list[str]:
        """Returns the letters of the vocabulary. Some may stand for bytes, and not for themselves."""
        return sorted(entry for entry in self._encoder.tokenizer.get_vocab() if len(entry) == 1 and entry.isalpha())

    def find_token(self, letter: str, text: LetterText, neighbours: Iterable[str]) -> int | None:
        """Returns the token of a letter that replaces one of the text; None if it is not one token of the vocabulary.

        neighbours: letters beside which it may stand. It has to be the same token beside each of them, and they too.
        """
        letters = "".join(chain(letter, *((each, letter) for each in neighbours)))
        probe = " ".join(letters) if text.spaced else letters
        content = self._encoder.content(probe)
        if _find_fault(probe, letters, content):
            return None
        known = dict(zip(text.letters, text.ids, strict=True))
        tokens = dict(zip(letters, content.ids, strict=True))
        is_same = all(known.get(each, token) == token for each, token in tokens.items())
        return tokens[letter] if is_same and self.is_known(tokens[letter]) else None


def _find_fault(text: str, letters: str, content: Content) -> str | None:
    """Says why the letters of a text are not one token each, or returns None."""
    known: dict[str, int] = {}
    for token, (start, end) in zip(content.ids, content.offsets, strict=True):
        letter = text[start:end].strip()
        if len(letter) != 1:
            return f"{letter[:60]!r} at character {start + 1} of the input is one token"
        if known.setdefault(letter, token) != token:
            return f"{letter!r} is a different token at character {start + 1} of the input than before"
    if len(content.ids) != len(letters):
        return f"the input has {len(letters)} letters and {len(content.ids)} tokens"
    return None
