"""Answers whose candidates have one or several tokens, for each mask by itself."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from app.errors import InvalidValue
from app.modalities.base import BatchRow, Steps
from app.modalities.text.filling.reading import ReadText, TextReader
from app.modalities.text.filling.rows import FillMaskInputs, Raw, RowMaker
from app.modalities.text.filling.targets import TargetScores
from app.modalities.text.filling.together import run_together
from app.modalities.text.filling.whole_words import MAX_TOKENS, WordSearch, WordTokens
from app.modalities.text.filling.words import ScoredWord, list_candidates
from app.modalities.text.items import FillMaskItem, FillMaskResult, MaskPrediction
from app.modalities.text.wordpieces import WordPieces

_Search = Generator[Sequence[BatchRow[FillMaskInputs]], Sequence[Raw], list[list[ScoredWord]]]  # words of each mask


@dataclass(frozen=True)
class WordAnswers:
    """Answers items with targets of several tokens, and items that ask for whole words."""

    reader: TextReader
    rows: RowMaker
    wordpieces: WordPieces
    tokens: WordTokens

    def score_targets(self, item: FillMaskItem, scores: TargetScores) -> Steps[FillMaskInputs, Raw, FillMaskResult]:
        """Starts an item with targets, of which some have several tokens."""
        if item.sequences:
            param = "num_sequences" if item.num_sequences else "decode"
            raise InvalidValue(f"`{param}` fills each mask with one token, and a target has several", param=param)
        texts = self.reader.read_windows(item, scores.longest - 1)
        item.check_rows(scores.count_rows(_count_masks(texts)), "targets")
        return self._answer(item, texts, [scores.run(text.ids, text.masks, self.rows) for text in texts])

    def find_words(self, item: FillMaskItem) -> Steps[FillMaskInputs, Raw, FillMaskResult]:
        """Starts an item whose candidates are whole words."""
        texts = self.reader.read_windows(item, MAX_TOKENS - 1)
        words = WordSearch(self.tokens, self.wordpieces, self.rows, item.top_k)
        item.check_rows(words.count_rows(_count_masks(texts)), "whole_words")
        return self._answer(item, texts, [words.run(text) for text in texts])

    def _answer(
        self, item: FillMaskItem, texts: Sequence[ReadText], searches: Sequence[_Search]
    ) -> Steps[FillMaskInputs, Raw, FillMaskResult]:
        """searches: of each text. All of them take their steps together."""
        found = yield from run_together(searches)
        masks = [
            MaskPrediction(
                position + text.shift,
                *text.text.spans[index],
                list_candidates(words, item, text.text, index, self.wordpieces),
            )
            for text, each in zip(texts, found, strict=True)
            for index, (position, words) in enumerate(zip(text.masks, each, strict=True), text.first)
        ]
        return FillMaskResult(masks, tokens=sum(len(text.ids) for text in texts))


def _count_masks(texts: Sequence[ReadText]) -> int:
    return sum(len(text.masks) for text in texts)
