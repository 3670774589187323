"""Scores: how probable a model finds each token of a text, given all the others (pseudo-log-likelihood).

`original` (Salazar et al. 2020, https://aclanthology.org/2020.acl-main.240) masks each token in
turn. `within-word-l2r` (Kauf & Ivanova 2023, https://aclanthology.org/2023.acl-short.80) also masks
what follows it in its word: else the rest of a rare word gives its beginning away. Of overlapping
k-mers, those before the token are masked too, since they contain its letter.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, takewhile
from typing import cast

import numpy as np
import torch
from torch import Tensor

from app.errors import AppError
from app.modalities.base import BatchRow, Steps, TaskHandler
from app.modalities.text.batches import TextBatch
from app.modalities.text.encoder import vocabulary_size
from app.modalities.text.encoding import Content, TextEncoder
from app.modalities.text.filling.rows import VOCABULARY_PER_TOKEN
from app.modalities.text.forward import TextForward
from app.modalities.text.items import RankedToken, ScoredToken, ScoreItem, ScoreMethod, ScoreResult
from app.modalities.text.new_tokenizers.letters import overlapping_length
from app.modalities.text.scoring.comparison import TextSteps, compare_pair, rank_candidates
from app.modalities.text.scoring.items import AnyScoreItem, AnyScoreResult, CandidatesItem, PairItem, VariantsItem
from app.modalities.text.scoring.marginals import VariantScorer
from app.modalities.text.scoring.reading import ScoredPart, ScoreReader
from app.modalities.text.scoring.rows import LetterScores, RawScore, ScoreInputs, TokenScore


@dataclass(frozen=True)
class ScoreBatch:
    texts: TextBatch
    places: Tensor  # the read places in the flattened batch, as `TextForward.places` gives them
    tokens: Tensor  # [N] what stands at each of them
    rows: Sequence[ScoreInputs]


class Score(TaskHandler[AnyScoreItem, ScoreInputs, ScoreBatch, RawScore, AnyScoreResult]):
    """Scores texts: ScoreItem → ScoreResult, in one step of a row a token. Other items consist of texts or letters."""

    def __init__(self, forward: TextForward, encoder: TextEncoder, *, max_length: int) -> None:
        self.forward = forward
        self.encoder = encoder
        self._mask_id = encoder.mask[1]
        self._max_length = max_length
        self._vocabulary = vocabulary_size(forward.model)
        vocabulary = encoder.tokenizer.get_vocab()
        self._overlap = overlapping_length(vocabulary, vocabulary) or 1
        facts = {"max_length": max_length, "vocabulary": self._vocabulary, "overlap": self._overlap}
        self._reader, self._variants = ScoreReader(encoder, **facts), VariantScorer(encoder, **facts)

    @property
    def pads(self) -> bool:
        return self.forward.pads

    def example(self) -> ScoreItem:
        return ScoreItem(self.encoder.example)

    def steps(self, item: AnyScoreItem) -> Steps[ScoreInputs, RawScore, AnyScoreResult]:
        match item:
            case PairItem():
                return compare_pair(item, self._start_text)
            case CandidatesItem():
                return rank_candidates(item, self.encoder, self._max_length, self._start_text)
            case VariantsItem():
                return self._variants.steps(item)
        return self._start_text(item)

    def _start_text(self, item: ScoreItem) -> TextSteps:
        return self._one_step(item, *self._reader.read(item))

    def _one_step(self, item: ScoreItem, content: Content, parts: Sequence[ScoredPart]) -> TextSteps:
        places = [place for part in parts for place in part.places]
        if item.drawn is not None:
            mask: Callable[[int], list[int]] = partial(_put_first, places=places)
        else:
            mask = partial(_masked, places=places, words=content.words, method=item.method, overlap=self._overlap)
        masks = map(mask, range(len(places)))
        raws = yield [self._row(item, part, next(masks)) for part in parts for _ in part.places]
        scores = cast(Sequence[TokenScore], raws)
        scored = [self._scored(content, place, raw) for place, raw in zip(places, scores, strict=True)]
        return ScoreResult(scored, tokens=sum(len(part.ids) for part in parts))

    def _row(self, item: ScoreItem, part: ScoredPart, masked: list[int]) -> BatchRow[ScoreInputs]:
        """masked: places that are masked, the scored one first. Those outside of the part are not seen anyway."""
        inside = range(len(self.encoder.prefix), len(part.ids) - len(self.encoder.suffix))
        positions = [place + part.shift for place in masked if place + part.shift in inside]
        cost = max(len(part.ids), self._vocabulary // VOCABULARY_PER_TOKEN)
        return BatchRow(ScoreInputs(part.ids, positions, positions[:1], item.top_k), cost)

    def _scored(self, content: Content, place: int, raw: TokenScore) -> ScoredToken:
        if not math.isfinite(raw.log_prob):
            raise AppError("the model computed numbers that are not finite for this input")
        token = content.ids[place]
        candidates = [RankedToken(math.exp(log_prob), best, self._decoded(best)) for log_prob, best in raw.best]
        start, end = content.offsets[place]
        decoded, word = self._decoded(token), content.words[place]
        return ScoredToken(token, decoded, start, end, word, raw.log_prob, raw.rank, candidates)

    def _decoded(self, token: int) -> str:
        return str(self.encoder.tokenizer.decode([token]))

    def collate(self, inputs: Sequence[ScoreInputs]) -> ScoreBatch:
        tokens = torch.tensor([row.ids[place] for row in inputs for place in row.places])
        texts = self.forward.collate([self._masked_ids(row) for row in inputs])
        places = self.forward.places(texts, [(i, place) for i, row in enumerate(inputs) for place in row.places])
        return ScoreBatch(texts, places, tokens, inputs)

    def _masked_ids(self, row: ScoreInputs) -> list[int]:
        ids = list(row.ids)
        for position in row.masked:
            ids[position] = self._mask_id
        return ids

    @torch.inference_mode()
    def run(self, batch: ScoreBatch) -> list[RawScore]:
        logits = self.forward.logits(batch.texts, batch.places)[: len(batch.tokens)].float()  # [N, V]
        results: list[RawScore] = []
        start = 0
        for letters, group in groupby(batch.rows, key=lambda row: row.letters):  # the rows of a request share them
            rows = list(group)
            stop = start + sum(len(row.places) for row in rows)
            if letters:
                results += _read_letters(logits[start:stop], rows)
            else:
                results += self._score_tokens(logits[start:stop], batch.tokens[start:stop], rows)
            start = stop
        return results

    def _score_tokens(self, scores: Tensor, tokens: Tensor, rows: Sequence[ScoreInputs]) -> list[TokenScore]:
        """scores: logits [B, V] of the one place of each row. tokens: [B] what stands there."""
        whole = scores.logsumexp(-1, keepdim=True)  # [B, 1]
        own = scores.gather(1, tokens.to(scores.device).unsqueeze(1))  # [B, 1]
        named = scores[:, : self.encoder.entries]  # without the rows that fill up a table
        ranks = (named > own).sum(1) + 1
        values, best = named.topk(min(max(row.top_k for row in rows), named.shape[1]))
        return [
            TokenScore(log_prob, rank, list(zip(log_probs, ids, strict=True))[: row.top_k])
            for log_prob, rank, log_probs, ids, row in zip(
                (own - whole).squeeze(1).tolist(),
                ranks.tolist(),
                (values - whole).tolist(),
                best.tolist(),
                rows,
                strict=True,
            )
        ]


def _read_letters(scores: Tensor, rows: Sequence[ScoreInputs]) -> list[LetterScores]:
    """Returns log-probabilities [places, letters] of each row. scores: logits [N, V] of the places of all rows."""
    letters = torch.tensor(rows[0].letters, device=scores.device)
    log_probs = (scores[:, letters] - scores.logsumexp(-1, keepdim=True)).cpu().numpy()
    return np.split(log_probs, np.cumsum([len(row.places) for row in rows])[:-1])


def _put_first(index: int, places: list[int]) -> list[int]:
    return [places[index], *places[:index], *places[index + 1 :]]


def _masked(index: int, places: list[int], words: list[int], method: ScoreMethod, overlap: int) -> list[int]:
    """Returns the positions that are masked to score position number `index`, itself first.

    overlap: number of tokens that contain a letter of the text.
    """
    before = places[max(index - overlap + 1, 0) : index]
    if method is ScoreMethod.ORIGINAL:
        return [places[index], *before]
    return [*takewhile(lambda place: words[place] == words[places[index]], places[index:]), *before]
