"""Attention of texts without padding in one kernel. The kernel itself needs a GPU: see tests/gpu."""

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from app.modalities.text import spans
from app.modalities.text.spans import Spans, attend_spans, can_attend_spans

CPU = torch.device("cpu")


def attend_slowly(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *bounds_and_longest: Any, scale: float | None = None
) -> torch.Tensor:
    """What `varlen_attn` is documented to do, text by text."""
    bounds, also, longest, too = bounds_and_longest
    assert bounds.dtype == torch.int32 and torch.equal(bounds, also)
    sizes = bounds.diff().tolist()
    assert max(sizes) == longest == too
    parts = zip(*(torch.split(t.transpose(0, 1), sizes, dim=1) for t in (query, key, value)), strict=True)
    return torch.cat([F.scaled_dot_product_attention(*part, scale=scale) for part in parts], dim=1).transpose(0, 1)


@pytest.mark.parametrize("scaling", [None, 8**-0.5, 0.7])
def test_a_token_sees_its_own_text(monkeypatch: pytest.MonkeyPatch, scaling: float | None) -> None:
    monkeypatch.setattr(spans, "load_kernel", lambda: attend_slowly)
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, 3, 8, 8) for _ in range(3))
    found = attend_spans(q, k, v, Spans.of([2, 5], 1, CPU), scaling)
    assert found.shape == (1, 8, 3, 8)
    for start, end in ((0, 2), (2, 7), (7, 8)):
        part = slice(start, end)
        alone = F.scaled_dot_product_attention(q[:, :, part], k[:, :, part], v[:, :, part], scale=scaling)
        torch.testing.assert_close(found[:, part], alone.transpose(1, 2))


def test_a_cpu_has_no_such_kernel() -> None:
    assert not can_attend_spans(CPU, torch.bfloat16, 32)


def test_no_filler_is_no_text() -> None:
    assert Spans.of([2, 5], 0, CPU).bounds.tolist() == [0, 2, 7]
