"""Fill-mask: the most probable tokens at each mask of a text, and the most probable ways of filling all of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.errors import AppError, InvalidValue
from app.modalities.base import OneStepHandler, Prepared, Steps
from app.modalities.text.batches import TextBatch
from app.modalities.text.candidates.distribution import choose_measured
from app.modalities.text.candidates.filters import VocabularyFilters
from app.modalities.text.candidates.masked_text import MaskedTexts
from app.modalities.text.candidates.measuring import Measuring
from app.modalities.text.encoder import vocabulary_size
from app.modalities.text.encoding import QUICK_CHARACTERS, TextEncoder
from app.modalities.text.filling.decoding import Decoder
from app.modalities.text.filling.joint import pseudo_log_probs
from app.modalities.text.filling.reading import ReadText, TextReader
from app.modalities.text.filling.rows import FillMaskInputs, Raw, RowMaker, choose
from app.modalities.text.filling.spans import SpanText, read_spans, repeat_masks, split_runs
from app.modalities.text.filling.targets import TargetScores
from app.modalities.text.filling.texts import MaskedText
from app.modalities.text.filling.together import run_together
from app.modalities.text.filling.whole_words import WordTokens
from app.modalities.text.filling.word_answers import WordAnswers
from app.modalities.text.forward import TextForward
from app.modalities.text.items import (
    MAX_WORD_TOKENS,
    Candidate,
    FilledSequence,
    FilledToken,
    FillMaskItem,
    FillMaskResult,
    MaskPrediction,
)
from app.modalities.text.wordpieces import TargetTokens, WordPieces
from app.types import FillStrategy


@dataclass(frozen=True)
class FillMaskBatch:
    texts: TextBatch
    places: Tensor  # the masks' indices into the flattened batch, as `TextForward.places` gives them
    items: Sequence[FillMaskInputs]


@dataclass(frozen=True)
class FillMaskContext:
    text: ReadText
    top_k: int
    renormalize: bool


_Prepared = Prepared[FillMaskInputs, FillMaskContext]


class FillMask(
    OneStepHandler[FillMaskItem, FillMaskInputs, FillMaskContext, FillMaskBatch, Raw, FillMaskResult],
):
    """Fills masks: FillMaskItem → FillMaskResult. One row, or a beam search if all masks are filled together."""

    def __init__(self, forward: TextForward, encoder: TextEncoder, *, max_length: int) -> None:
        self.forward = forward
        self.encoder = encoder
        self._mask_token, self._mask_id = encoder.mask
        self.wordpieces = WordPieces(encoder)
        vocabulary = vocabulary_size(forward.model)
        self._entries = min(encoder.entries, vocabulary)
        self._rows = RowMaker(vocabulary, self._entries)
        filters = VocabularyFilters(encoder, self._entries, marks_words=self.wordpieces.mask_eats_space)
        self._measuring = Measuring(filters, self.wordpieces, self._mask_id)
        self._masked_texts = MaskedTexts(encoder, self._measuring, self._rows, max_length)
        self._reader = TextReader(encoder, max_length=max_length, vocabulary=vocabulary)
        word_tokens = WordTokens(self.wordpieces, self._entries)
        self._words = WordAnswers(self._reader, self._rows, self.wordpieces, word_tokens)

    @property
    def pads(self) -> bool:
        return self.forward.pads

    def example(self) -> FillMaskItem:
        return FillMaskItem(f"{self.encoder.example} {self._mask_token}")

    def is_quick(self, item: FillMaskItem) -> bool:
        few = item.top_k <= 10 and len(item.targets) <= 10 and self.takes_one_step(item) and item.is_plain
        characters = len(item.text) + sum(map(len, item.targets))
        return few and characters <= QUICK_CHARACTERS and item.text.count("[") + item.text.count("<") <= 2

    def takes_one_step(self, item: FillMaskItem) -> bool:
        return item.sequences == 0 and not item.whole_words and not item.windows

    def steps(self, item: FillMaskItem) -> Steps[FillMaskInputs, Raw, FillMaskResult]:
        if item.mask is not None:
            return self._masked_texts.steps(item, item.mask)
        if item.is_plain:
            return self._plain_steps(item)
        kept = self._measuring.filter_targets(item)
        several = self._targets(kept).several if kept.targets else ()
        if several:
            passed = set(kept.targets)
            numbers = [number for number, target in enumerate(item.targets) if target in passed]
            return self._measuring.restrict(item, self._words.score_targets(item, TargetScores(several, numbers)))
        if item.has_spans:
            return self._measuring.restrict(item, self._fill_spans(item))
        return self._measuring.steps(kept, self._plain_steps(kept))

    def _plain_steps(self, item: FillMaskItem) -> Steps[FillMaskInputs, Raw, FillMaskResult]:
        """Returns the steps of an item without its filter and its distribution."""
        targets = self._targets(item)
        if targets.several:
            return self._words.score_targets(item, TargetScores(targets.several))
        if item.has_spans:
            return self._fill_spans(item)
        if item.whole_words:
            return self._words.find_words(item)
        if item.sequences:
            return self._fill_all(item)
        if item.windows:
            return self._predict([self._prepare(item, text) for text in self._reader.read_windows(item)])
        return super().steps(item)

    def prepare(self, item: FillMaskItem) -> _Prepared:
        return self._prepare(item, self._reader.read(item))

    def _prepare(self, item: FillMaskItem, text: ReadText) -> _Prepared:
        targets = self._targets(item).single
        scored = len(targets) if item.renormalize else item.top_k
        row = self._rows.best(text.ids, text.masks, max(scored, item.top_k, item.sequences), targets)
        return Prepared(
            row.inputs, row.cost, FillMaskContext(text, item.top_k, item.renormalize and bool(item.targets))
        )

    def _predict(self, windows: Sequence[_Prepared]) -> Steps[FillMaskInputs, Raw, FillMaskResult]:
        """The candidates of each mask by itself. windows: rows of one text, each with some of its masks."""
        raws = yield windows
        results = [self.finish(window, raw) for window, raw in zip(windows, raws, strict=True)]
        masks = list(chain.from_iterable(result.masks for result in results))
        return FillMaskResult(masks, tokens=sum(result.tokens for result in results))

    def _targets(self, item: FillMaskItem) -> TargetTokens:
        """Returns the tokens of the item's targets. Raises InvalidValue for a target outside the vocabulary."""
        if item.top_k < 1:
            raise InvalidValue(f"top_k is {item.top_k}; it must be at least 1", param="top_k")
        targets = self.wordpieces.find_targets(item.targets, 1 if item.single_tokens else MAX_WORD_TOKENS)
        ids = chain(chain(*targets.single), *(chain(*ways) for ways in targets.several))
        self._reader.check_ids(ids, "the targets have", "targets")
        return targets

    def _decoder(self, item: FillMaskItem) -> Decoder:
        targets = self._targets(item).single
        kind = item.decode or FillStrategy.BEAM
        return Decoder(kind, item.sequences, item.order, item.seed, self._rows, targets)

    def _fill_all(self, item: FillMaskItem) -> Steps[FillMaskInputs, Raw, FillMaskResult]:
        """The candidates of each mask by itself, then ways of filling all masks together."""
        prepared, decoder = self.prepare(item), self._decoder(item)
        if item.decode is not None:  # else bounded by the numbers of masks and sequences
            item.check_rows(decoder.count_rows(len(prepared.inputs.positions)), "decode")
        return self._decode(prepared, decoder)

    def _decode(self, prepared: _Prepared, decoder: Decoder) -> Steps[FillMaskInputs, Raw, FillMaskResult]:
        (raw,) = yield [prepared]
        result = self.finish(prepared, raw)
        masks = prepared.inputs.positions
        lengths = (1,) * len(masks)
        text = prepared.context.text.text
        found = yield from self._fill_masks(decoder, prepared.inputs.ids, masks, lengths, text, raw)
        return replace(result, sequences=sorted(found, key=lambda each: -each.pseudo_log_prob))

    def _fill_spans(self, item: FillMaskItem) -> Steps[FillMaskInputs, Raw, FillMaskResult]:
        """The ways of filling all masks and spans together, with each combination of lengths."""
        self._reader.check_characters(item.text, "a text with spans")
        spans = read_spans(item.text, self.encoder.mask_pattern, item.max_masks)
        decoder = self._decoder(item)
        plain = self._reader.read(replace(item, text=spans.plain), spans.longest - len(spans.places))
        read = replace(plain, text=replace(plain.text, text=item.text, spans=spans.places))
        item.check_rows(sum(decoder.count_rows(sum(lengths)) for lengths in spans.combinations()), "input")
        return self._decode_spans(read, spans, decoder)

    def _decode_spans(
        self, read: ReadText, spans: SpanText, decoder: Decoder
    ) -> Steps[FillMaskInputs, Raw, FillMaskResult]:
        searches = [
            self._fill_masks(decoder, *repeat_masks(read.ids, read.masks, lengths), lengths, read.text)
            for lengths in spans.combinations()
        ]
        found = chain(*(yield from run_together(searches)))
        best: dict[str, FilledSequence] = {}
        for each in sorted(found, key=lambda each: -each.score_per_token):
            best.setdefault(each.sequence, each)
        masks = [MaskPrediction(mask, *place, []) for mask, place in zip(read.masks, spans.places, strict=True)]
        return FillMaskResult(masks, len(read.ids), sequences=list(best.values())[: decoder.count])

    def _fill_masks(
        self,
        decoder: Decoder,
        ids: list[int],
        masks: list[int],
        lengths: Sequence[int],
        text: MaskedText,
        first: Raw | None = None,
    ) -> Steps[FillMaskInputs, Raw, list[FilledSequence]]:
        """The ways of filling all masks. lengths: masks of each span. first: candidates of each mask, where known."""
        fillings = yield from decoder.fill(ids, masks, first)
        judged = yield from pseudo_log_probs(fillings, masks, self._mask_id, self._rows)
        return [
            self._sequence(text, [filling.ids[mask] for mask in masks], lengths, filling.log_prob, pseudo)
            for filling, pseudo in zip(fillings, judged, strict=True)
        ]

    def _sequence(
        self, text: MaskedText, tokens: list[int], lengths: Sequence[int], log_prob: float, pseudo_log_prob: float
    ) -> FilledSequence:
        filled = [FilledToken(token, self.wordpieces.decoded(token)) for token in tokens]
        written = text.fill(self.wordpieces, split_runs(tokens, lengths))
        per_token = math.exp(log_prob / len(tokens))
        return FilledSequence(written, log_prob, pseudo_log_prob, per_token, filled, list(lengths))

    def collate(self, inputs: Sequence[FillMaskInputs]) -> FillMaskBatch:
        texts = self.forward.collate([item.ids for item in inputs])
        masks = [(i, position) for i, item in enumerate(inputs) for position in item.positions]
        return FillMaskBatch(texts, self.forward.places(texts, masks), inputs)

    @torch.inference_mode()
    def run(self, batch: FillMaskBatch) -> list[Raw]:
        logits = self.forward.logits(batch.texts, batch.places)
        logits = logits[: sum(len(item.positions) for item in batch.items)]
        scores = logits.float().log_softmax(-1)  # [N, V]
        # One transfer serves every item that asks for the best of the whole vocabulary.
        plain = [not item.targets and item.choice is None and item.options is None for item in batch.items]
        widest = max((item.top_k for item, is_plain in zip(batch.items, plain, strict=True) if is_plain), default=0)
        best = [t.cpu().numpy() for t in scores[:, : self._entries].topk(widest)]
        results: list[Raw] = []
        start = 0
        for item, is_plain in zip(batch.items, plain, strict=True):
            stop = start + len(item.positions)
            if is_plain:
                results.append((best[0][start:stop, : item.top_k], best[1][start:stop, : item.top_k]))
            elif item.options is not None:
                results.append(choose_measured(logits[start:stop].float(), item, self._entries))
            else:
                results.append(choose(scores[start:stop], item, self._entries))
            start = stop
        return results

    def finish(self, prepared: _Prepared, raw: Raw) -> FillMaskResult:
        given = prepared.context
        log_probs, tokens = raw
        if given.renormalize:
            log_probs = log_probs - np.logaddexp.reduce(log_probs, axis=-1, keepdims=True)
        scores = np.exp(log_probs[:, : given.top_k])
        if not np.isfinite(scores).all():
            raise AppError("the model computed numbers that are not finite for this input")
        text, first, shift = given.text.text, given.text.first, given.text.shift
        masks = [
            MaskPrediction(position + shift, *text.spans[i + first], self._candidates(text, i + first, *best))
            for i, (position, *best) in enumerate(zip(prepared.inputs.positions, scores, tokens, strict=True))
        ]
        return FillMaskResult(masks, tokens=len(prepared.inputs.ids))

    def _candidates(
        self, text: MaskedText, index: int, scores: NDArray[np.float32], tokens: NDArray[np.int64]
    ) -> list[Candidate]:
        """Returns the candidates of mask number `index`."""
        left, right = text.around(index)
        return [
            Candidate(score, token, self.wordpieces.decoded(token), self.wordpieces.filled(left, right, token))
            for score, token in zip(scores.tolist(), tokens.tolist(), strict=False)
        ]
