"""Rows of fill-mask, and the choice of their candidates from the scores of the vocabulary."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.errors import AppError
from app.modalities.base import BatchRow
from app.modalities.text.candidates.mask_options import MaskOptions
from app.modalities.text.wordpieces import Spellings

# A mask's row of logits counts as one token a so many vocabulary entries, which keeps the logits of
# a batch as bounded as its tokens are.
VOCABULARY_PER_TOKEN = 2048

Raw = tuple[NDArray[np.float32], NDArray[np.int64]]  # log-probabilities and token ids, [masks, k] each, best first


@dataclass(frozen=True, eq=False)
class TokenSet:
    """Tokens of a vocabulary. ids: int64 [n], ascending."""

    ids: Tensor


@dataclass(frozen=True)
class TokenChoice:
    """How a row's candidates are chosen, where they are not the most probable ones of the vocabulary or of targets.

    allowed: the only tokens that may be candidates; None: all. Their probabilities stay those among the vocabulary.
    draws: for each mask a number in [0, 1), by which one candidate is drawn; empty: the most probable are taken.
    """

    allowed: TokenSet | None = None
    draws: tuple[float, ...] = ()


@dataclass(frozen=True)
class FillMaskInputs:
    """ids: of the whole text. positions: of the masks in it. targets: the only candidates; empty: the vocabulary.

    options: of the distribution, if it is not the model's own or if something is measured of it.
    """

    ids: list[int]
    positions: list[int]
    top_k: int
    targets: tuple[Spellings, ...] = ()
    choice: TokenChoice | None = None
    options: MaskOptions | None = None


def count_cost(tokens: int, masks: int, vocabulary: int) -> int:
    """Counts what a row takes of a batch's token budget: its tokens, or the logits of its masks if they take more."""
    return max(tokens, masks * vocabulary // VOCABULARY_PER_TOKEN)


@dataclass(frozen=True)
class RowMaker:
    """Makes rows of one model. vocabulary: rows of its table of tokens. entries: tokens that have a name."""

    vocabulary: int
    entries: int

    def best(
        self,
        ids: list[int],
        positions: list[int],
        top_k: int,
        targets: tuple[Spellings, ...] = (),
        choice: TokenChoice | None = None,
        options: MaskOptions | None = None,
    ) -> BatchRow[FillMaskInputs]:
        """Returns a row whose raw result has the best candidates of the masks."""
        inputs = FillMaskInputs(ids, positions, min(top_k, self.entries), targets, choice, options)
        return BatchRow(inputs, count_cost(len(ids), len(positions), self.vocabulary))

    def ask(self, ids: list[int], position: int, tokens: Collection[int]) -> BatchRow[FillMaskInputs]:
        """Returns a row whose raw result has the log-probabilities of different tokens at one mask."""
        return self.best(ids, [position], len(tokens), tuple((token, token) for token in tokens))


def read_log_probs(raw: Raw) -> dict[int, float]:
    """Returns the log-probability of each token of a row of `ask`. Raises AppError for one that is not finite."""
    (log_probs,), (tokens,) = raw
    if not np.isfinite(log_probs).all():
        raise AppError("the model computed numbers that are not finite for this input")
    return dict(zip(tokens.tolist(), log_probs.tolist(), strict=True))


def choose(scores: Tensor, inputs: FillMaskInputs, entries: int) -> Raw:
    """Returns the candidates of a row, each target in its more probable spelling.

    scores: log-probabilities [masks, V]. entries: tokens that have a name; the rest of V fills up a table.
    """
    choice = inputs.choice or TokenChoice()
    if inputs.targets:
        targets = torch.tensor(inputs.targets, device=scores.device)  # [T, 2]
        values, spelling = scores[:, targets].max(-1)  # [masks, T]
        tokens = targets.expand(len(scores), -1, -1).gather(-1, spelling.unsqueeze(-1)).squeeze(-1)
    elif choice.allowed is not None:
        allowed = choice.allowed.ids.to(scores.device)
        values, tokens = scores[:, allowed], allowed.expand(len(scores), -1)
    else:
        values = scores[:, :entries]
        tokens = torch.arange(entries, device=scores.device).expand(len(scores), -1)
    best = min(inputs.top_k, values.shape[1])
    order = _draw(values, choice.draws) if choice.draws else values.topk(best).indices
    return values.gather(-1, order).cpu().numpy(), tokens.gather(-1, order).cpu().numpy()


def _draw(values: Tensor, draws: tuple[float, ...]) -> Tensor:
    """Draws an entry of each row of log-probabilities [masks, n] by the inverse of its distribution → [masks, 1]."""
    cumulated = values.double().softmax(-1).cumsum(-1)
    wanted = torch.tensor(draws, dtype=torch.float64, device=values.device).unsqueeze(-1) * cumulated[:, -1:]
    return torch.searchsorted(cumulated, wanted, right=True).clamp_(max=values.shape[1] - 1)
