"""The text of an item with its masks filled: everything else stays as the user wrote it."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.modalities.text.wordpieces import WordPieces


@dataclass(frozen=True)
class MaskedText:
    """text: as given. spans: characters of each mask in it. mask_token: the model's own."""

    text: str
    spans: list[tuple[int, int]]
    mask_token: str

    def around(self, index: int) -> tuple[str, str]:
        """Returns the text before and after mask number `index`, with every other mask as the model's mask token."""
        start, end = self.spans[index]
        left = self._replaced(0, start, self.spans[:index])
        return left, self._replaced(end, len(self.text), self.spans[index + 1 :])

    def fill(self, wordpieces: WordPieces, fillings: Sequence[Sequence[int]]) -> str:
        """Returns the text with every mask replaced by its tokens."""
        text = self.text
        for tokens, (start, end) in reversed(list(zip(fillings, self.spans, strict=True))):  # earlier spans stay valid
            text = wordpieces.filled(text[:start], text[end:], *tokens)
        return text

    def _replaced(self, start: int, end: int, spans: Sequence[tuple[int, int]]) -> str:
        """Returns `text[start:end]` with the mask token in place of each of the spans within."""
        starts, ends = [start, *(span[1] for span in spans)], [*(span[0] for span in spans), end]
        return self.mask_token.join(self.text[a:b] for a, b in zip(starts, ends, strict=True))
