"""Fill-mask: the most probable tokens at each mask of a text, and the most probable ways of filling all of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from app.errors import AppError, EmptyInput, InvalidValue, NoMask, TooManyMasks
from app.modalities.base import Prepared, Rounds
from app.modalities.text.batches import Rows, collate, forward, pads, rounded_places
from app.modalities.text.encoder import rows_before_head, vocabulary_size
from app.modalities.text.encoding import QUICK_CHARACTERS, TextEncoder
from app.modalities.text.items import (
    MASK_ALIAS,
    Candidate,
    FilledSequence,
    FilledToken,
    FillMaskItem,
    FillMaskResult,
    MaskPrediction,
)
from app.modalities.text.sequences import Filling, search
from app.modalities.text.wordpieces import Spellings, WordPieces
from app.types import Task

# A mask's row of logits counts as one token a so many vocabulary entries, which keeps the logits of
# a batch as bounded as its tokens are.
VOCABULARY_PER_TOKEN = 2048

Raw = tuple[NDArray[np.float32], NDArray[np.int64]]  # log-probabilities and token ids, [masks, k] each, best first


@dataclass(frozen=True)
class FillMaskFeatures:
    ids: list[int]
    positions: list[int]  # of the masks, in ids
    top_k: int
    targets: tuple[Spellings, ...]  # empty: the whole vocabulary


@dataclass(frozen=True)
class FillMaskBatch:
    texts: Rows
    rows: Tensor  # the masks' indices into the flattened batch, as `rounded_places` gives them
    items: list[FillMaskFeatures]


@dataclass(frozen=True)
class _Given:
    text: str
    spans: list[tuple[int, int]]  # characters of each mask in `text`
    top_k: int
    renormalize: bool


class FillMask:
    """A TaskHandler: FillMaskItem → FillMaskResult."""

    def __init__(self, model: PreTrainedModel, encoder: TextEncoder, *, max_length: int) -> None:
        self._model = model
        self._encoder = encoder
        self._mask_token, self._mask_id = encoder.mask
        self._max_length = max_length
        self._pieces = WordPieces(encoder)
        self._vocabulary = vocabulary_size(model)
        self._pad_id = encoder.tokenizer.pad_token_id or 0

    def example(self) -> FillMaskItem:
        return FillMaskItem(f"a {self._mask_token}")

    def is_quick(self, item: FillMaskItem) -> bool:
        few = item.top_k <= 10 and len(item.targets) <= 10 and item.num_sequences == 0
        characters = len(item.text) + sum(map(len, item.targets))
        return few and characters <= QUICK_CHARACTERS and item.text.count("[") + item.text.count("<") <= 2

    def prepare(self, item: FillMaskItem) -> Prepared | Rounds:
        if item.top_k < 1:
            raise InvalidValue(f"top_k is {item.top_k}; it must be at least 1", param="top_k")
        row = self._row(item)
        return self._joint(row, item.num_sequences) if item.num_sequences else row

    def _row(self, item: FillMaskItem) -> Prepared:
        targets = self._pieces.target_ids(item.targets)
        text, spans = self._shortened(item)
        content = self._encoder.content_ids(self._encoder.mask_pattern.sub(lambda _: self._mask_token, text))
        masks = self._masks(content, len(spans))
        if max([*content, *chain(*targets)]) >= self._vocabulary:  # a tokenizer may know more than its model
            raise InvalidValue(f"a token of the input or the targets is beyond the model's {self._vocabulary}")
        ids, shift = self._encoder.fit(
            content, self._max_length, truncate=item.truncate, side=item.truncation_side, keep=masks
        )
        scored = len(targets) if item.renormalize else item.top_k
        top_k = min(max(scored, item.top_k, item.num_sequences), self._vocabulary)
        features = FillMaskFeatures(ids, [m + shift for m in masks], top_k, targets)
        return self._costed(features, _Given(item.text, spans, item.top_k, item.renormalize))

    def _shortened(self, item: FillMaskItem) -> tuple[str, list[tuple[int, int]]]:
        """Returns the part of the item's text that is tokenized, and the spans of its masks in the whole text."""
        if not item.text.strip():
            raise EmptyInput("the input is empty", param="input")
        cut = partial(
            self._encoder.shorten, item.text, self._max_length, truncate=item.truncate, side=item.truncation_side
        )
        if not item.truncate:
            cut()  # refuses a text that is too long before it is searched for masks
        found = self._encoder.mask_spans(item.text)
        spans = list(islice(found, item.max_masks + 1))
        if not spans:
            own = "" if self._mask_token == MASK_ALIAS else f" or {self._mask_token}"
            raise NoMask(f"the input holds no mask: write {MASK_ALIAS}{own} where a word is missing", param="input")
        if len(spans) > item.max_masks:
            count = len(spans) + sum(1 for _ in found)
            raise TooManyMasks(f"the input holds {count} masks and at most {item.max_masks} are allowed", param="input")
        return cut(keep=(spans[0][0], spans[-1][1]))[0], spans

    def _costed(self, features: FillMaskFeatures, given: _Given | None = None) -> Prepared:
        cost = max(len(features.ids), len(features.positions) * self._vocabulary // VOCABULARY_PER_TOKEN)
        return Prepared(features, cost, key=Task.FILL_MASK, info=given, padded=pads(self._model))

    def _joint(self, row: Prepared, count: int) -> Rounds:
        """The masks one by one, each by itself, and `count` ways of filling them together."""
        (raw,) = yield [row]
        result = self.finish(row, raw)
        features: FillMaskFeatures = row.features
        found = yield from search(
            features.ids,
            features.positions,
            raw,
            count,
            lambda ids, positions: self._costed(FillMaskFeatures(ids, positions, count, features.targets)),
        )
        return replace(result, sequences=[self._sequence(row, each) for each in found])

    def _sequence(self, row: Prepared, found: Filling) -> FilledSequence:
        tokens = [found.ids[position] for position in row.features.positions]
        given: _Given = row.info
        text = given.text
        for token, (start, end) in reversed(list(zip(tokens, given.spans, strict=True))):  # earlier spans stay valid
            text = self._pieces.filled(text[:start], text[end:], token)
        filled = [FilledToken(token, self._pieces.decoded(token)) for token in tokens]
        return FilledSequence(text, found.log_prob, filled)

    def _masks(self, content: list[int], count: int) -> list[int]:
        """Indices of the `count` masks in `content`."""
        masks = [i for i, token in enumerate(content) if token == self._mask_id]
        if len(masks) != count:
            raise InvalidValue(
                f"the input holds {count} masks but the tokenizer sees {len(masks)}; put spaces around them",
                param="input",
            )
        return masks

    def collate(self, batch: Sequence[Prepared]) -> FillMaskBatch:
        items: list[FillMaskFeatures] = [p.features for p in batch]
        texts = collate(self._model, [item.ids for item in items], self._pad_id)
        rows = [place for i, item in enumerate(items) for place in texts.places(i, item.positions)]
        return FillMaskBatch(texts, rounded_places(self._model, rows), items)

    @torch.inference_mode()
    def run(self, collated: FillMaskBatch) -> list[Raw]:
        with rows_before_head(self._model, collated.rows.to(self._model.device)):
            logits = forward(self._model, collated.texts).logits[0]
        logits = logits[: sum(len(item.positions) for item in collated.items)]
        scores = logits.float().log_softmax(-1)  # [N, V]
        # One transfer serves every item that asks for the best of the whole vocabulary.
        widest = max((item.top_k for item in collated.items if not item.targets), default=0)
        best = [t.cpu().numpy() for t in scores.topk(widest)]
        results: list[Raw] = []
        row = 0
        for item in collated.items:
            rows = slice(row, row := row + len(item.positions))
            if item.targets:
                results.append(_among(scores[rows], item))
            else:
                results.append((best[0][rows, : item.top_k], best[1][rows, : item.top_k]))
        return results

    def finish(self, prepared: Prepared, raw: Raw) -> FillMaskResult:
        given: _Given = prepared.info
        log_probs, tokens = raw
        if given.renormalize:
            log_probs = log_probs - np.logaddexp.reduce(log_probs, axis=-1, keepdims=True)
        scores = np.exp(log_probs[:, : given.top_k])
        if not np.isfinite(scores).all():
            raise AppError("the model computed numbers that are not finite for this input")
        features: FillMaskFeatures = prepared.features
        masks = [
            MaskPrediction(position, *given.spans[i], self._candidates(given, i, scores[i], tokens[i]))
            for i, position in enumerate(features.positions)
        ]
        return FillMaskResult(masks, tokens=len(features.ids))

    def _candidates(
        self, given: _Given, index: int, scores: NDArray[np.float32], tokens: NDArray[np.int64]
    ) -> list[Candidate]:
        """Returns the candidates of mask number `index`; other masks are written as the model writes them."""
        (start, end), before, after = given.spans[index], given.spans[:index], given.spans[index + 1 :]
        left = _replaced(given.text, 0, start, before, self._mask_token)
        right = _replaced(given.text, end, len(given.text), after, self._mask_token)
        return [
            Candidate(score, token, self._pieces.decoded(token), self._pieces.filled(left, right, token))
            for score, token in zip(scores.tolist(), tokens.tolist(), strict=False)
        ]


def _replaced(text: str, start: int, end: int, spans: Sequence[tuple[int, int]], mask: str) -> str:
    """`text[start:end]` with `mask` in place of each of the spans within."""
    starts, ends = [start, *(span[1] for span in spans)], [*(span[0] for span in spans), end]
    return mask.join(text[a:b] for a, b in zip(starts, ends, strict=True))


def _among(scores: Tensor, item: FillMaskFeatures) -> Raw:
    """The best of the item's targets, each in its more probable spelling. scores [masks, V] → [masks, at most top_k]"""
    targets = torch.tensor(item.targets, device=scores.device)  # [T, 2]
    best, spelling = scores[:, targets].max(-1)  # [masks, T]
    values, order = best.topk(min(item.top_k, len(item.targets)))
    tokens = targets[order, spelling.gather(-1, order)]
    return values.cpu().numpy(), tokens.cpu().numpy()
