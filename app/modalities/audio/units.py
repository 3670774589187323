"""The quantized units of wav2vec 2.0, and the contrastive loss over them (arXiv 2006.11477)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2GumbelVectorQuantizer


@dataclass(frozen=True)
class Quantized:
    """The units of N frames, with G codebooks of V entries.

    perplexity: sum over the codebooks of exp(entropy of the mean distribution over entries), 1 × G to V × G.
    """

    vectors: Tensor  # [N, codevector_dim]
    codes: Tensor  # [N, G] int64, the entry of each codebook
    perplexity: Tensor
    entries: int  # V × G

    @property
    def diversity_loss(self) -> Tensor:
        """The share of entries that the perplexity lacks, in [0, 1), scalar."""
        return (self.entries - self.perplexity) / self.entries


@dataclass(frozen=True)
class UnitScores:
    """How well N frames are told from their distractors.

    loss: cross-entropy in nats, summed, differentiable. correct: frames whose unit has the highest score.
    chance_loss, chance_correct: expected sums of a model that gives all candidates the same score, and of one that
    ranks the different units among them at random. A distractor with the frame's own unit is no candidate.
    """

    loss: Tensor
    correct: int
    chance_loss: float
    chance_correct: float


def quantize(quantizer: Wav2Vec2GumbelVectorQuantizer, features: Tensor, temperature: float | None) -> Quantized:
    """Picks one entry of each codebook for each frame, and joins their vectors.

    As transformers' quantizer does, for frames that need no mask; it also returns the entries.

    Args:
        features: [N, C], the normalized output of the convolutions.
        temperature: Of the straight-through Gumbel softmax that draws the entries. None: the likeliest entries.
    """
    groups, entries = quantizer.num_groups, quantizer.num_vars
    logits = quantizer.weight_proj(features).float().view(len(features), groups, entries)
    if temperature is None:
        probs = functional.one_hot(logits.argmax(-1), entries).float()
        mean = probs.mean(0)
    else:
        probs = functional.gumbel_softmax(logits, tau=temperature, hard=True)
        mean = logits.softmax(-1).mean(0)
    codebooks = quantizer.codevectors.view(groups, entries, -1).to(probs.dtype)
    vectors = torch.einsum("ngv,gvd->ngd", probs, codebooks).flatten(1)
    perplexity = torch.exp(-torch.xlogy(mean, mean).sum(-1)).sum()
    return Quantized(vectors, probs.detach().argmax(-1), perplexity, groups * entries)


def contrast_units(
    predicted: Tensor, targets: Tensor, codes: Tensor, negatives: Sequence[Tensor], temperature: float
) -> UnitScores:
    """Compares each frame's prediction with its own unit and with those of its distractors.

    Args:
        predicted: [N, D], the frames of one crop after those of another.
        targets: [N, D], the projected units of the same frames.
        codes: [N, G], the entries that the units consist of.
        negatives: For each crop [M, K], the distractors of its M frames, as numbers of its frames.
        temperature: Divides the cosines.
    """
    with torch.autocast(predicted.device.type, enabled=False):
        one, other = (functional.normalize(each.float(), dim=-1, eps=1e-8) for each in (predicted, targets))
        _, unit_of = torch.unique(codes, dim=0, return_inverse=True)
        logits, kinds, start = [], [], 0
        for places in negatives:
            rows = slice(start, start := start + len(places))
            candidates = torch.cat([torch.arange(len(places), device=places.device)[:, None], places], dim=1)
            logits.append((one[rows] @ other[rows].T).gather(1, candidates) / temperature)
            kinds.append(unit_of[rows][candidates])
        scores, units = torch.cat(logits), torch.cat(kinds)  # [N, 1 + K], a frame's own unit first
        is_other = units != units[:, :1]
        distractors = scores[:, 1:].masked_fill(~is_other[:, 1:], -torch.inf)
        scores = torch.cat([scores[:, :1], distractors], dim=1)
        loss = -scores.log_softmax(1)[:, 0].sum()
    correct = int((scores[:, 0] > scores[:, 1:].amax(1)).sum())
    return UnitScores(loss, correct, *_chance(units, is_other))


def _chance(units: Tensor, is_other: Tensor) -> tuple[float, float]:
    """Returns (chance_loss, chance_correct). units: [N, 1 + K]; is_other: which are candidates beside the own one."""
    others = is_other.sum(1)
    ordered = torch.where(is_other, units, -1).sort(1).values
    different = ((ordered[:, 1:] != ordered[:, :-1]) & (ordered[:, 1:] >= 0)).sum(1)
    return float((1.0 + others).log().sum()), float((1.0 / (1.0 + different)).sum())
