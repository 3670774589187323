"""The contrastive loss with in-batch negatives.

Sources: Henderson et al., "Efficient Natural Language Response Suggestion for Smart Reply" (arXiv 1705.00652), as
sentence-transformers' MultipleNegativesRankingLoss computes it; Kusupati et al., "Matryoshka Representation Learning"
(arXiv 2205.13147).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor
from torch.nn import functional as F

ROWS = 1024  # pairs whose scores are computed at once


@dataclass(frozen=True)
class PairVectors:
    """The vectors of N pairs and of M hard negatives.

    anchors, positives [N, D], negatives [M, D]: not normalized. The keys, [N], [N] and [M] int64, are equal for equal
    texts.
    """

    anchors: Tensor
    positives: Tensor
    negatives: Tensor
    anchor_keys: Tensor
    positive_keys: Tensor
    negative_keys: Tensor

    def to(self, device: torch.device) -> "PairVectors":
        return PairVectors(*(getattr(self, each.name).to(device) for each in fields(self)))

    @property
    def stacked(self) -> Tensor:
        """All vectors, [2 N + M, D]: anchors, positives, negatives."""
        return torch.cat([self.anchors, self.positives, self.negatives])

    @property
    def sizes(self) -> list[int]:
        return [len(self.anchors), len(self.positives), len(self.negatives)] * 2

    def split(self, parts: Sequence["PairVectors"]) -> list["PairVectors"]:
        """The inverse of `join`: parts of the same sizes as `parts`."""
        sizes = zip(*(part.sizes for part in parts), strict=True)
        tensors = [
            torch.split(getattr(self, each.name), list(size)) for each, size in zip(fields(self), sizes, strict=True)
        ]
        return [PairVectors(*columns) for columns in zip(*tensors, strict=True)]

    @classmethod
    def join(cls, parts: Sequence["PairVectors"]) -> "PairVectors":
        return cls(*(torch.cat([getattr(part, each.name) for part in parts]) for each in fields(cls)))

    def cut(self, size: int | None) -> "PairVectors":
        """Returns the first `size` dimensions of the vectors; None: all."""
        return self.replace(*(each[:, :size] for each in (self.anchors, self.positives, self.negatives)))

    def detach(self) -> "PairVectors":
        """Returns the same vectors as leaves that collect gradients."""
        return self.replace(
            *(each.detach().requires_grad_() for each in (self.anchors, self.positives, self.negatives))
        )

    def replace(self, anchors: Tensor, positives: Tensor, negatives: Tensor) -> "PairVectors":
        """Returns the same pairs with other vectors."""
        return replace(self, anchors=anchors, positives=positives, negatives=negatives)


@dataclass(frozen=True)
class ContrastiveLoss:
    """Cross-entropy over scaled cosines: the positive of a pair against all other positives and all hard negatives.

    A text that equals one of the pair is no negative, nor is the positive of an equal anchor.

    scale: the inverse of the temperature. symmetric: the mean with the loss of anchors against a positive.
    sizes: further numbers of leading dimensions; the loss is the mean over them and all dimensions.
    """

    scale: float
    symmetric: bool = False
    sizes: tuple[int, ...] = ()

    def score(self, pairs: PairVectors, first: int, end: int) -> tuple[Tensor, Tensor]:
        """Returns the losses of the pairs from `first` to `end`, [R], and their scores, [R, N + M].

        The scores are of all dimensions; those of texts that are no negatives are −∞. All is computed in float32:
        bfloat16 could not tell the cosines of similar texts apart.
        """
        with torch.autocast(pairs.anchors.device.type, enabled=False):
            return self._score(pairs, first, end)

    def _score(self, pairs: PairVectors, first: int, end: int) -> tuple[Tensor, Tensor]:
        own = torch.arange(first, end, device=pairs.anchors.device)
        blocked, reverse = _find_equal(pairs, own)
        losses: list[Tensor] = []
        shown: Tensor | None = None
        for size in (None, *self.sizes):
            anchors, positives, negatives = (
                F.normalize(each[:, :size], dim=-1) for each in (pairs.anchors, pairs.positives, pairs.negatives)
            )
            scores = self._scale(anchors[own] @ torch.cat([positives, negatives]).T, blocked)
            loss = F.cross_entropy(scores, own, reduction="none")
            if self.symmetric:
                backward = self._scale(positives[own] @ anchors.T, reverse)
                loss = (loss + F.cross_entropy(backward, own, reduction="none")) / 2
            losses.append(loss)
            shown = scores if shown is None else shown
        assert shown is not None
        return torch.stack(losses).mean(0), shown

    def _scale(self, cosines: Tensor, blocked: Tensor) -> Tensor:
        return (self.scale * cosines).masked_fill(blocked, -torch.inf)

    def measure(self, pairs: PairVectors) -> dict[str, float]:
        """Returns loss and accuracy of all dimensions, the accuracy of each further size, and the candidates of a pair.

        The accuracy is the share of pairs whose positive has the highest score of all candidates.
        """
        means: dict[str, float] = {}
        for size in (None, *self.sizes):
            losses, hits = replace(self, sizes=())._score_all(pairs.cut(size))
            if size is None:
                means["loss"] = float(losses.mean())
            means["accuracy" if size is None else f"accuracy_{size}"] = float(hits.float().mean())
        return {**means, "candidates": float(len(pairs.anchors) + len(pairs.negatives))}

    def _score_all(self, pairs: PairVectors) -> tuple[Tensor, Tensor]:
        """Returns the loss of each pair, and whether its own positive has the highest score."""
        losses, hits = [], []
        for first in range(0, len(pairs.anchors), ROWS):
            loss, scores = self.score(pairs, first, min(first + ROWS, len(pairs.anchors)))
            losses.append(loss)
            hits.append(find_hits(scores, first))
        return torch.cat(losses), torch.cat(hits)

    def differentiate(self, pairs: PairVectors, count: int) -> tuple[PairVectors, Tensor, Tensor]:
        """Returns the gradients of the mean loss by the vectors, in their places, and loss and hit of each pair.

        count: pairs that the mean is over.
        """
        leaves = pairs.detach()
        losses, hits = [], []
        with torch.enable_grad():
            for first in range(0, len(pairs.anchors), ROWS):
                loss, scores = self.score(leaves, first, min(first + ROWS, len(pairs.anchors)))
                (loss.sum() / count).backward()  # type: ignore[no-untyped-call]
                losses.append(loss.detach())
                hits.append(find_hits(scores, first))
        gradients = pairs.replace(*map(_gradient, (leaves.anchors, leaves.positives, leaves.negatives)))
        return gradients, torch.cat(losses), torch.cat(hits)


def _gradient(leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


def find_hits(scores: Tensor, first: int) -> Tensor:
    """Returns whether the own positive of each pair has the highest score. scores [R, C] of pairs from `first` on."""
    rows = torch.arange(len(scores), device=scores.device)
    return scores.detach().argmax(-1) == rows + first


def _find_equal(pairs: PairVectors, own: Tensor) -> tuple[Tensor, Tensor]:
    """Returns which candidates are no negatives of the pairs `own`: [R, N + M] of anchors, [R, N] of positives."""
    anchors, positives = pairs.anchor_keys, pairs.positive_keys
    anchor, positive = anchors[own].unsqueeze(1), positives[own].unsqueeze(1)
    candidates = torch.cat([positives, pairs.negative_keys])
    forward = (candidates == anchor) | (candidates == positive)
    forward[:, : len(anchors)] |= anchors == anchor
    backward = (anchors == anchor) | (anchors == positive) | (positives == positive)
    rows = torch.arange(len(own), device=own.device)
    forward[rows, own] = backward[rows, own] = False
    return forward, backward
