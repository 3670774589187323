"""The training half of the text objective: masked language modelling on packed rows."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from app.methods import MlmHyperparameters
from app.modalities.text.batches import rounded
from app.modalities.text.characters import describe_tokenizer
from app.modalities.text.cross_entropy import linear_cross_entropy
from app.modalities.text.encoder import rows_before_head
from app.modalities.text.ngrams import find_blanks, fit, score
from app.modalities.text.projection import ends_in_projection, vocabulary_left_out
from app.modalities.text.proof import UNPADDED
from app.modalities.text.row_masking import EVAL_SHARES, MaskedRow, Row, RowMasker
from app.modalities.text.samples import show_predictions
from app.modalities.trainable import Counts, Metrics, Trainable

# Model types whose attention takes a block mask, so that documents can share a row without seeing
# each other (position_ids alone leak). Rows of other types hold one document each.
PACKABLE = frozenset({"bert", "modernbert"})
# Other model types in which padding changes no result: their rows are padded to lengths that repeat.
ROUNDED = UNPADDED | {"esm"}


@dataclass(frozen=True)
class MlmBatch:
    seen: torch.Tensor  # [B, L]
    original: torch.Tensor  # [B, L]
    segment: torch.Tensor  # [B, L] 0 is padding, 1, 2, … the row's documents
    positions: torch.Tensor  # [B, L] restart at each document
    packed: bool  # some row holds several documents
    padded: bool
    chosen: torch.Tensor  # [N] indices into the flattened batch
    labels: torch.Tensor  # [N]
    counts: Counts  # N, and the documents
    tokens: int  # without padding

    def to(self, device: torch.device) -> "MlmBatch":
        moved = {
            f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self) if f.type is torch.Tensor
        }
        return replace(self, **moved)


class TextPretraining(Trainable[Row, MaskedRow, MlmBatch]):
    """Mixed into TextObjective. `start_training` comes before the other methods."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    _masker: RowMasker
    _length: int
    _ends_in_projection: bool
    illustrated = 5
    _teacher: "Callable[[MlmBatch], torch.Tensor] | None" = None
    _teacher_weight: float = 0.0

    def start_training(
        self, hyperparameters: MlmHyperparameters, rate: float, teacher: "TextPretraining | None"
    ) -> None:
        self._masker = RowMasker(self.tokenizer, hyperparameters, rate)
        for module in self.model.modules():
            if isinstance(module, nn.Dropout):
                # Slow on a CPU, and one pass over much data cannot overfit (arXiv 2212.14034).
                module.p = 0.0
        self._length = hyperparameters.sequence_length
        self._ends_in_projection = ends_in_projection(self.model)
        if teacher is not None and hyperparameters.teacher_weight:
            self._teacher = teacher.sentence_vectors
            self._teacher_weight = hyperparameters.teacher_weight

    @property
    def packs(self) -> bool:
        return self.model.config.model_type in PACKABLE

    def mask_sample(
        self, sample: Row, rng: np.random.Generator, *, evaluate: bool = False, fraction: float = 0.0
    ) -> MaskedRow:
        return self._masker.mask_row(sample, rng, evaluate=evaluate, fraction=fraction)

    def collate_masked(self, samples: Sequence[MaskedRow]) -> MlmBatch:
        # One shape for packed rows (a compiled encoder wants that), else padded to about the longest.
        longest = max(len(s.seen) for s in samples)
        length = rounded(longest) if self.model.config.model_type in ROUNDED else longest
        length = self._length if self.packs else max(longest, min(length, self._length))
        shape = (len(samples), length)
        seen = np.full(shape, self.tokenizer.pad_token_id or 0, dtype=np.int64)
        original = seen.copy()
        segment, positions = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        chosen = np.zeros(shape, dtype=bool)
        for i, sample in enumerate(samples):
            used = len(sample.seen)
            seen[i, :used], original[i, :used], chosen[i, :used] = sample.seen, sample.row.ids, sample.chosen
            lengths = np.array(sample.row.segments)
            segment[i, :used] = np.repeat(np.arange(1, len(lengths) + 1), lengths)
            positions[i, :used] = np.arange(used) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        flat = np.flatnonzero(chosen)
        return MlmBatch(
            seen=torch.from_numpy(seen),
            original=torch.from_numpy(original),
            segment=torch.from_numpy(segment),
            positions=torch.from_numpy(positions),
            packed=bool(segment.max(initial=0) > 1),
            padded=not bool(segment.all()),
            chosen=torch.from_numpy(flat),
            labels=torch.from_numpy(original.reshape(-1)[flat]),
            counts=Counts(len(flat), sum(len(s.row.segments) for s in samples)),
            tokens=int((segment > 0).sum()),
        )

    def forward(self, batch: MlmBatch, whole: Counts | None = None) -> tuple[torch.Tensor, Metrics]:
        whole, predicted = whole or batch.counts, batch.counts.positions
        encoded: list[torch.Tensor] | None = [] if self._teacher is not None and self.model.training else None
        loss, correct = self._predict(batch, encoded)
        metrics = Metrics(float(loss.detach()) * predicted, int(correct), predicted)
        if not self.model.training:
            characters = float(self._masker.characters[batch.labels.cpu()].sum())
            metrics += Metrics(extra={"characters": characters})
        loss = loss * (predicted / max(whole.positions, 1))
        if self._teacher is not None and encoded:
            away = 1 - torch.cosine_similarity(_document_means(encoded[0].float(), batch), self._teacher(batch), dim=-1)
            loss = loss + self._teacher_weight * away.sum() / whole.items
            metrics += Metrics(extra={"teacher_cosine": float((1 - away.detach()).sum()), "documents": len(away)})
        return loss, metrics

    def _predict(self, batch: MlmBatch, encoded: list[torch.Tensor] | None) -> tuple[torch.Tensor, torch.Tensor]:
        """(mean loss, number of right predictions). `encoded`, if given, receives the encoder's output."""
        inputs, rows = self._inputs(batch, batch.seen), _fill_up(batch.chosen)
        if not self._ends_in_projection:
            with rows_before_head(self.model, rows, encoded):
                logits = self.model(**inputs).logits[0, : len(batch.labels)].float()
            return F.cross_entropy(logits, batch.labels), (logits.argmax(-1) == batch.labels).sum()
        with rows_before_head(self.model, rows, encoded), vocabulary_left_out(self.model) as projection:
            out = self.model(**inputs).logits[0]
        return linear_cross_entropy(out, projection.weight, projection.bias, batch.labels)

    def summarise(self, total: Metrics) -> dict[str, float]:
        """Means of the sums: loss, accuracy and perplexity a predicted position, extras a document.

        Held-out bits per character, which do not depend on the tokenizer: of the predicted tokens' characters.
        """
        if not total.count:
            return {}
        loss, extra = total.loss_sum / total.count, dict(total.extra)
        documents, characters = extra.pop("documents", 0.0), extra.pop("characters", 0.0)
        means = {k: v / documents for k, v in extra.items() if documents}
        if characters:
            means["bits_per_character"] = total.loss_sum / math.log(2) / characters
        return {
            "loss": loss,
            "accuracy": total.correct / total.count,
            "perplexity": math.exp(min(loss, 50.0)),
            **means,
        }

    def describe_choices(self) -> dict[str, Any]:
        return {**self._masker.describe_rates(), **describe_tokenizer(self.tokenizer)}

    def baselines(self, training: Iterable[Row], held_out: Iterable[MaskedRow]) -> Mapping[str, float]:
        """Returns loss, accuracy and bits per character of the predictors of `ngrams`."""
        masker = self._masker
        fitted = fit((part for row in training for part in row.split()), ~masker.special)
        blanks = [
            blank
            for each in held_out
            for blank in find_blanks(each.row.ids, each.seen, each.chosen, each.row.segments, masker.mask_id)
        ]
        characters = float(masker.characters[[blank.label for blank in blanks]].sum()) or 1.0
        scores = score(fitted, blanks, kept=1 - sum(EVAL_SHARES), swapped=EVAL_SHARES[1])
        means: dict[str, float] = {}
        for name, found in scores.items() if blanks else ():
            means[f"{name}_loss"], means[f"{name}_accuracy"] = found.loss / found.count, found.correct / found.count
            means[f"{name}_bits_per_character"] = found.loss / math.log(2) / characters
        return means

    def illustrate(self, batch: MlmBatch) -> tuple[str, bytes]:
        seen = batch.seen.clone()
        seen.view(-1)[batch.chosen] = self._masker.mask_id  # for people, what is to be predicted is masked
        with rows_before_head(self.model, batch.chosen):
            logits = self.model(**self._inputs(batch, seen)).logits[0].float()
        return "json", show_predictions(self.tokenizer, seen, batch.chosen, batch.labels, logits)

    @torch.no_grad()
    def sentence_vectors(self, batch: MlmBatch) -> torch.Tensor:
        """Mean-pooled output on the unmasked documents of the rows. → [D, H] fp32"""
        hidden_states = self.model.base_model(**self._inputs(batch, batch.original)).last_hidden_state
        return _document_means(hidden_states.float(), batch)

    def _inputs(self, batch: MlmBatch, ids: torch.Tensor) -> dict[str, Any]:
        """Arguments of the model: a mask only where something must not be seen."""
        if not batch.packed:
            return {"input_ids": ids, "attention_mask": (batch.segment > 0).long() if batch.padded else None}
        same = batch.segment[:, None, :, None] == batch.segment[:, None, None, :]  # [B, 1, L, L], True is seen
        mask: Any = self._attention_bias(same)
        window = getattr(self.model.config, "local_attention", None)
        if window is not None:  # ModernBERT takes one mask a layer type, and only then keeps its window
            at = batch.positions
            near = (at[:, None, :, None] - at[:, None, None, :]).abs() <= window // 2
            mask = {"full_attention": mask, "sliding_attention": self._attention_bias(same & near)}
        return {"input_ids": ids, "attention_mask": mask, "position_ids": batch.positions}

    def _attention_bias(self, visible: torch.Tensor) -> torch.Tensor:
        """sdpa takes booleans; eager attention adds what it is given to the scores."""
        if self.model.config._attn_implementation != "eager":
            return visible
        kind = visible.device.type
        # In the dtype of the scores, which a wider one would widen.
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
        bias = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
        return bias.masked_fill_(~visible, torch.finfo(torch.bfloat16).min)


def _fill_up(rows: torch.Tensor) -> torch.Tensor:
    """Appends the first position until the number of rows is one that repeats: oneDNN keeps kernels for each number.

    Training on rows as they come would make and keep hundreds of kernels, some 2 GB of them.
    """
    return F.pad(rows, (0, rounded(len(rows)) - len(rows)))


def _document_means(hidden_states: torch.Tensor, batch: MlmBatch) -> torch.Tensor:
    """hidden_states [B, L, H] → [D, H]: a mean for each of the D documents, row by row, without padding."""
    if not batch.packed:
        real = (batch.segment > 0).to(hidden_states.dtype).unsqueeze(-1)
        return (hidden_states * real).sum(1) / real.sum(1)
    real = batch.segment > 0
    rows = torch.arange(len(hidden_states), device=hidden_states.device).unsqueeze(1) * (batch.segment.max() + 1)
    _, document, lengths = torch.unique((rows + batch.segment)[real], return_inverse=True, return_counts=True)
    sums = hidden_states.new_zeros(len(lengths), hidden_states.shape[-1]).index_add_(0, document, hidden_states[real])
    means: torch.Tensor = sums / lengths.unsqueeze(-1)
    return means
