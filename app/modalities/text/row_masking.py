"""Rows of token ids and their masks for masked language modelling. The batches are in `pretrain`."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from app.methods import MlmHyperparameters
from app.modalities.text.characters import count_characters
from app.modalities.text.masking import Sampler, choose_tokens, choose_words, corrupt, run_sampler, span_sampler
from app.modalities.text.new_tokenizers.letters import overlapping_length
from app.modalities.text.word_starts import mark_continuations

# Held-out figures are always at BERT's 15 %, of which 80 % are masked and 10 % replaced, whatever the job trains with.
EVAL_RATE, EVAL_SHARES = 0.15, (0.8, 0.1)

SAMPLERS: dict[str, Callable[[MlmHyperparameters], Sampler]] = {
    "token": lambda hp: choose_tokens,
    "whole-word": lambda hp: choose_words,
    "span": lambda hp: span_sampler(hp.mean_span_length),
}


@dataclass(frozen=True)
class Row:
    """One row of a data set. ids: [L], with special tokens. segments: lengths of its documents, adding up to L."""

    ids: NDArray[np.int64]
    segments: tuple[int, ...]

    def split(self) -> list[NDArray[np.int64]]:
        """Returns the ids of each segment."""
        return np.split(self.ids, np.cumsum(self.segments)[:-1])


@dataclass(frozen=True)
class MaskedRow:
    """A row with its masked positions."""

    row: Row
    seen: NDArray[np.int64]  # [L] what the model sees
    chosen: NDArray[np.bool_]  # [L] what it must predict


class RowMasker:
    """Masks rows, with tables over one tokenizer's vocabulary and a job's hyperparameters."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, hyperparameters: MlmHyperparameters, rate: float) -> None:
        self.rate, self.final_rate = rate, hyperparameters.final_masking_rate or rate
        overlap = overlapping_length(vocabulary := tokenizer.get_vocab(), vocabulary)
        runs = run_sampler(overlap) if overlap else None
        self.sampler = runs or SAMPLERS[hyperparameters.masking_strategy](hyperparameters)
        self.evaluation_sampler = runs or choose_tokens
        self.shares = (hyperparameters.mask_token_share, hyperparameters.random_token_share)
        self.mask_id = int(tokenizer.mask_token_id)
        size = len(tokenizer)
        self.special = np.zeros(size, dtype=bool)
        self.special[list(tokenizer.all_special_ids)] = True
        self.ordinary_ids = np.flatnonzero(~self.special)
        self.continues = mark_continuations(tokenizer, size)
        self.characters = torch.from_numpy(count_characters(tokenizer))  # [V]

    def rate_at(self, fraction: float) -> float:
        """Returns the masking rate after a share of the run: linear, as in arXiv 2305.15096."""
        return self.rate + fraction * (self.final_rate - self.rate)

    def describe_rates(self) -> dict[str, float]:
        """Returns the masking rates by the names of their hyperparameters, the final one if it differs."""
        final = {} if self.final_rate == self.rate else {"final_masking_rate": self.final_rate}
        return {"masking_rate": self.rate, **final}

    def mask_row(self, row: Row, rng: np.random.Generator, *, evaluate: bool, fraction: float = 0.0) -> MaskedRow:
        """Masks a row. fraction: share of the run before the row's step. Evaluations do not depend on it."""
        sampler, rate, shares = self.sampler, self.rate_at(fraction), self.shares
        if evaluate:
            sampler, rate, shares = self.evaluation_sampler, EVAL_RATE, EVAL_SHARES
        chosen = sampler(~self.special[row.ids], self.continues[row.ids], rate, rng)
        seen = corrupt(
            row.ids,
            chosen,
            mask_id=self.mask_id,
            ordinary_ids=self.ordinary_ids,
            mask_share=shares[0],
            random_share=shares[1],
            rng=rng,
        )
        return MaskedRow(row, seen, chosen)
