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
from itertools import takewhile

import numpy as np
import torch
from torch import Tensor

from app.errors import AppError, InvalidValue
from app.modalities.base import BatchRow, Steps, TaskHandler
from app.modalities.text.batches import TextBatch
from app.modalities.text.encoder import vocabulary_size
from app.modalities.text.encoding import Content, TextEncoder
from app.modalities.text.filling.rows import VOCABULARY_PER_TOKEN
from app.modalities.text.forward import TextForward
from app.modalities.text.items import DrawnMasks, RankedToken, ScoredToken, ScoreItem, ScoreMethod, ScoreResult
from app.modalities.text.masking import choose_tokens, run_sampler
from app.modalities.text.new_tokenizers.letters import overlapping_length


@dataclass(frozen=True)
class ScoreInputs:
    """ids: of the whole text, shared by its rows. masked: positions, the first of which is scored."""

    ids: list[int]
    masked: list[int]
    top_k: int


@dataclass(frozen=True)
class ScoreBatch:
    texts: TextBatch
    places: Tensor  # of the scored tokens in the flattened batch, as `TextForward.places` gives them
    tokens: Tensor  # [B] what stands there
    top_k: list[int]


@dataclass(frozen=True)
class RawScore:
    log_prob: float
    rank: int
    best: list[tuple[float, int]]  # (log-probability, token), best first


class Score(TaskHandler[ScoreItem, ScoreInputs, ScoreBatch, RawScore, ScoreResult]):
    """Scores texts: ScoreItem → ScoreResult, in one step of a row a token."""

    def __init__(self, forward: TextForward, encoder: TextEncoder, *, max_length: int) -> None:
        self.forward = forward
        self.encoder = encoder
        self._mask_id = encoder.mask[1]
        self._max_length = max_length
        self._vocabulary = vocabulary_size(forward.model)
        # An unknown word is a word, though a tokenizer counts what stands for it among its special tokens.
        self._special = frozenset(encoder.tokenizer.all_special_ids) - {encoder.tokenizer.unk_token_id}
        vocabulary = encoder.tokenizer.get_vocab()
        self._overlap = overlapping_length(vocabulary, vocabulary) or 1

    @property
    def pads(self) -> bool:
        return self.forward.pads

    def example(self) -> ScoreItem:
        return ScoreItem(self.encoder.example)

    def steps(self, item: ScoreItem) -> Steps[ScoreInputs, RawScore, ScoreResult]:
        text, start = self.encoder.shorten(
            item.text, self._max_length, truncate=item.truncate, side=item.truncation_side
        )
        content = self.encoder.content(text, start)
        if max(content.ids, default=0) >= self._vocabulary:  # a tokenizer may know more than its model
            raise InvalidValue(
                f"the input has a token id outside the model's vocabulary of {self._vocabulary}", param="input"
            )
        ids, shift = self.encoder.fit(content.ids, self._max_length, truncate=item.truncate, side=item.truncation_side)
        end = len(ids) - len(self.encoder.suffix)
        read = range(len(self.encoder.prefix) - shift, end - shift)  # of the content, what was not cut off
        places = [place for place in read if content.ids[place] not in self._special]
        if not places:
            raise InvalidValue("the input holds no token to score, only special ones", param="input")
        return self._one_step(item, content, ids, shift, places)

    def _one_step(
        self, item: ScoreItem, content: Content, ids: list[int], shift: int, places: list[int]
    ) -> Steps[ScoreInputs, RawScore, ScoreResult]:
        cost = max(len(ids), self._vocabulary // VOCABULARY_PER_TOKEN)
        if item.drawn is not None:
            places = _draw(places, item.drawn, self._overlap)
            mask: Callable[[int], list[int]] = partial(_put_first, places=places)
        else:
            mask = partial(_masked, places=places, words=content.words, method=item.method, overlap=self._overlap)
        masked = ([p + shift for p in mask(i)] for i in range(len(places)))
        raws = yield [BatchRow(ScoreInputs(ids, positions, item.top_k), cost) for positions in masked]
        scored = [self._scored(content, place, raw) for place, raw in zip(places, raws, strict=True)]
        return ScoreResult(scored, tokens=len(ids))

    def _scored(self, content: Content, place: int, raw: RawScore) -> ScoredToken:
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
        tokens = torch.tensor([row.ids[row.masked[0]] for row in inputs])
        texts = self.forward.collate([self._masked_ids(row) for row in inputs])
        scored = self.forward.places(texts, [(i, row.masked[0]) for i, row in enumerate(inputs)])
        return ScoreBatch(texts, scored, tokens, [row.top_k for row in inputs])

    def _masked_ids(self, row: ScoreInputs) -> list[int]:
        ids = list(row.ids)
        for position in row.masked:
            ids[position] = self._mask_id
        return ids

    @torch.inference_mode()
    def run(self, batch: ScoreBatch) -> list[RawScore]:
        scores = self.forward.logits(batch.texts, batch.places)[: len(batch.tokens)].float()  # [B, V]
        whole = scores.logsumexp(-1, keepdim=True)  # [B, 1]
        own = scores.gather(1, batch.tokens.to(scores.device).unsqueeze(1))  # [B, 1]
        named = scores[:, : self.encoder.entries]  # without the rows that fill up a table
        ranks = (named > own).sum(1) + 1
        values, tokens = named.topk(min(max(batch.top_k), named.shape[1]))
        return [
            RawScore(log_prob, rank, list(zip(best, names, strict=True))[:top_k])
            for log_prob, rank, best, names, top_k in zip(
                (own - whole).squeeze(1).tolist(),
                ranks.tolist(),
                (values - whole).tolist(),
                tokens.tolist(),
                batch.top_k,
                strict=True,
            )
        ]


def _draw(places: list[int], drawn: DrawnMasks, overlap: int) -> list[int]:
    """Returns the drawn ones of `places`, in order. Of overlapping k-mers whole runs are drawn, as in pretraining."""
    sampler = run_sampler(overlap) if overlap > 1 else choose_tokens
    everywhere = np.ones(len(places), bool)
    chosen = sampler(everywhere, ~everywhere, drawn.share, np.random.default_rng(drawn.seed))
    return [place for place, is_chosen in zip(places, chosen, strict=True) if is_chosen]


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
