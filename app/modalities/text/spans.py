"""Attention of texts that lie one after another without padding, in one kernel: FlashAttention on a GPU.

On a CPU a call for each length is as fast (`app.modalities.text.batches`), and there is no such kernel.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

_TOLERANCE = 0.02  # of a mean of random numbers of the size of 1, in bfloat16
_CHECKED = (5, 3, 17)  # tokens of the texts of the check

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Spans:
    """The texts of a batch. bounds: int32 [texts + 1], where each begins, and the number of all tokens."""

    bounds: Tensor
    longest: int

    @classmethod
    def of(cls, lengths: Sequence[int], filler: int, device: torch.device) -> "Spans":
        """filler: tokens behind the last text, which are a text of their own."""
        sizes = [*lengths, *([filler] if filler else [])]
        bounds = torch.zeros(len(sizes) + 1, dtype=torch.int32)
        torch.cumsum(torch.tensor(sizes), 0, out=bounds[1:])
        return cls(bounds.to(device, non_blocking=True), max(sizes))


def attend_spans(query: Tensor, key: Tensor, value: Tensor, spans: Spans, scaling: float | None) -> Tensor:
    """[1, heads, tokens, D] each → [1, tokens, heads, D]; a token sees those of its own text."""
    q, k, v = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    options = _scale(scaling, q.shape[-1])
    found: Tensor = load_kernel()(q, k, v, spans.bounds, spans.bounds, spans.longest, spans.longest, **options)
    return found.unsqueeze(0)


def _scale(scaling: float | None, size: int) -> dict[str, Any]:
    """Returns the option of the kernel's own scale; none for the usual one: older versions of torch have no other."""
    usual = scaling is None or abs(scaling * size**0.5 - 1) < 1e-6
    return {} if usual else {"scale": scaling}


def load_kernel() -> Callable[..., Any]:
    """Returns torch's kernel. Raises ImportError for a version without it."""
    from torch.nn.attention.varlen import varlen_attn

    return varlen_attn


@lru_cache(maxsize=64)
def can_attend_spans(device: torch.device, dtype: torch.dtype, head_size: int) -> bool:
    """Tells whether the kernel is there for such numbers, and computes what plain attention does.

    The first call for a kind of numbers runs the kernel. Any failure means no: batches are padded then.
    """
    if device.type != "cuda" or dtype not in (torch.bfloat16, torch.float16):
        return False
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 2, sum(_CHECKED), head_size, generator=generator).to(device, dtype) for _ in range(3))
    try:
        with torch.inference_mode():
            found = attend_spans(q, k, v, Spans.of(_CHECKED, 0, device), None)
            difference = (found.float() - _attend_plainly(q, k, v)).abs().max().item()
    except Exception as error:  # of a version of torch or a device that does not have it, of many kinds
        _log.info("batches are padded on %s, since it has no attention without padding: %s", device, error)
        return False
    if not difference <= _TOLERANCE:
        _log.warning("batches are padded on %s: its attention without padding is wrong by %.3f", device, difference)
        return False
    return True


def _attend_plainly(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Returns float32 [1, tokens, heads, D] for the texts of the check."""
    parts = zip(*(torch.split(t.float(), list(_CHECKED), dim=2) for t in (query, key, value)), strict=True)
    return torch.cat([F.scaled_dot_product_attention(*part) for part in parts], dim=2).transpose(1, 2)
