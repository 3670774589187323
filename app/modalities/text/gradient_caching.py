"""Gradient caching: a large contrastive batch in the memory of a small one.

Source: Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup" (arXiv 2101.06983).
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from app.modalities.text.contrastive_loss import ContrastiveLoss, PairVectors
from app.modalities.trainable import Metrics, StepContext

B = TypeVar("B")


def add_cached_gradients(
    embed: Callable[[B], PairVectors], batches: Sequence[B], loss: ContrastiveLoss, count: int, context: StepContext
) -> Metrics:
    """Adds the gradients of the loss over the pairs of all micro-batches and processes together.

    Computes the vectors without gradients, then the gradient of the loss by them, and then each micro-batch again,
    whose vectors are given their part of it. Only one micro-batch has activations at a time.

    Args:
        embed: Returns the vectors of a micro-batch, differentiable.
        batches: The micro-batches of this process.
        count: Pairs of the step, in all processes.
    """
    seeds = torch.randint(2**62, (len(batches),)).tolist()  # both passes draw the same dropout
    cached = _embed_all(embed, batches, seeds, context)
    everyone = _gather(cached, context)
    gradients, losses, hits = loss.differentiate(PairVectors.join(everyone).to(context.device), count)
    own = gradients.split(everyone)[context.rank].split(cached)
    for number, (batch, seed, gradient) in enumerate(zip(batches, seeds, own, strict=True)):
        torch.manual_seed(seed)
        with context.autocast():
            vectors = embed(batch)
        with context.backward_context(number, len(batches)):
            vectors.stacked.backward(gradient.stacked)  # type: ignore[no-untyped-call]
    pairs = [len(each.anchors) for each in everyone]
    own_losses, own_hits = (torch.split(each, pairs)[context.rank] for each in (losses, hits))
    return Metrics(float(own_losses.sum()), int(own_hits.sum()), len(own_losses))


@torch.no_grad()
def _embed_all(
    embed: Callable[[B], PairVectors], batches: Sequence[B], seeds: Sequence[int], context: StepContext
) -> list[PairVectors]:
    """Returns the vectors of each micro-batch. Raises what running out of memory raises.

    A process that fails tells the others, which would otherwise wait for its vectors.
    """
    found = []
    try:
        for batch, seed in zip(batches, seeds, strict=True):
            torch.manual_seed(seed)
            with context.autocast():
                found.append(embed(batch))
    except (RuntimeError, MemoryError):
        context.gather(None)
        raise
    return found


def _gather(cached: Sequence[PairVectors], context: StepContext) -> list[PairVectors]:
    """Returns the vectors of each process. Raises MemoryError if another one has failed."""
    own = PairVectors.join(cached)
    if context.size == 1:
        return [own]
    gathered = context.gather(own.to(torch.device("cpu")))
    if any(each is None for each in gathered):
        raise MemoryError("memory ran out in another training process")
    return gathered
