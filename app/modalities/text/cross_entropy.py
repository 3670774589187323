"""Cross-entropy over a large vocabulary in bounded memory.

The logits of all masked positions never exist at once: each chunk's softmax becomes its gradient
in place, and the two matrix products that the backward pass needs are done then and there (the
idea of fused linear cross-entropy, as in arXiv 2411.09009).
"""

from typing import Any

import torch
from torch.autograd import Function

CHUNK_ELEMENTS = 1 << 24  # logits that exist at once: 64 MiB in fp32, and their softmax beside them


class LinearCrossEntropy(Function):
    """Mean of −log softmax(hidden_states · weightᵀ + bias)[label], with the number of right argmaxes."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_states: torch.Tensor,  # [N, H], in the dtype of the matrix products
        weight: torch.Tensor,  # [V, H]
        bias: torch.Tensor | None,  # [V]
        labels: torch.Tensor,  # [M] int64, M ≤ N
    ) -> tuple[torch.Tensor, torch.Tensor]:
        dtype = hidden_states.dtype
        wanted = ctx.needs_input_grad[0] or ctx.needs_input_grad[1]
        projection = weight.to(dtype)
        grad_hidden_states = torch.empty_like(hidden_states) if wanted else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if wanted else None
        grad_bias = torch.zeros(len(weight), dtype=torch.float32, device=hidden_states.device) if wanted else None
        loss = torch.zeros((), dtype=torch.float32, device=hidden_states.device)
        correct = torch.zeros((), dtype=torch.int64, device=hidden_states.device)
        step = max(16, CHUNK_ELEMENTS // len(weight))
        for start in range(0, len(hidden_states), step):
            rows, target = hidden_states[start : start + step], labels[start : start + step, None]
            real = len(target)
            logits = rows @ projection.T
            # A sum of both dtypes is in fp32, without a pass of its own to get there.
            logits = logits.float() if bias is None else logits + bias.float()
            peak, at_label = logits[:real].amax(1, keepdim=True), logits[:real].gather(1, target)
            correct += (at_label >= peak).sum()
            probabilities = logits.softmax(1)
            probabilities[real:] = 0
            # The largest probability is 1 / Σ exp(logit − peak): no logarithm of a number that may be zero.
            loss += (peak - at_label - probabilities[:real].amax(1, keepdim=True).log()).sum()
            if grad_hidden_states is None or grad_weight is None or grad_bias is None:
                continue
            probabilities[:real].scatter_add_(1, target, torch.full_like(at_label, -1.0))
            grad_bias += probabilities.sum(0)
            grad_logits = probabilities.to(dtype)
            torch.mm(grad_logits, projection, out=grad_hidden_states[start : start + step])
            grad_weight += grad_logits.T @ rows
        ctx.has_bias, ctx.count = bias is not None, max(len(labels), 1)
        if wanted:
            ctx.save_for_backward(grad_hidden_states, grad_weight, grad_bias)
        ctx.mark_non_differentiable(correct)
        return loss / ctx.count, correct

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        grad_hidden_states, grad_weight, grad_bias = ctx.saved_tensors
        scale = grads[0] / ctx.count
        return (
            grad_hidden_states * scale.to(grad_hidden_states.dtype),
            grad_weight.mul_(scale),
            grad_bias.mul_(scale) if ctx.has_bias else None,
            None,
        )


def linear_cross_entropy(
    hidden_states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """hidden_states [N, H], weight [V, H], bias [V] or None, labels [M] → (mean loss, number right), both scalar.

    Rows beyond the M labels are filler: they count in no result, and their gradient is zero. No label gives a loss
    of 0. The products run in hidden_states's dtype, everything else in fp32.
    """
    loss, correct = LinearCrossEntropy.apply(hidden_states, weight, bias, labels)  # type: ignore[no-untyped-call]
    return loss, correct
