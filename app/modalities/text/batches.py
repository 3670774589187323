"""A batch of texts as the model takes it: one after another without padding where it can, else padded.

Without padding every layer but the attention sees one long text, and the attention sees each by
itself: no mask is applied, and texts of any lengths share a batch. All that is computed for nothing
are the few tokens that round the batch's size, so that the processor's kernels are made for few sizes.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, PreTrainedModel

from app.modalities.text.encoder import pad, padding_index
from app.modalities.text.spans import Spans, attend_spans, can_attend_spans

_ATTENTION = "cloze_unpadded"

Run = tuple[int, int, int]  # where texts of equal length begin, how many there are, tokens of each


@dataclass(frozen=True)
class TextBatch:
    """Token ids of B texts with what the model needs beside them.

    starts, lengths: of each text, in the flattened output. runs: of texts without padding; empty with padding.
    """

    inputs: dict[str, Tensor]
    starts: list[int]
    lengths: list[int]
    runs: tuple[Run, ...] = ()


def collate_padded(texts: Sequence[Sequence[int]], pad_id: int) -> TextBatch:
    inputs = pad(texts, pad_id)
    width = inputs["input_ids"].shape[1]
    return TextBatch(inputs, [i * width for i in range(len(texts))], [len(ids) for ids in texts])


def collate_equal_lengths(texts: Sequence[Sequence[int]]) -> TextBatch:
    """Texts one after another; neighbours of equal length are a run."""
    lengths = [len(ids) for ids in texts]
    starts = [0, *accumulate(lengths)][:-1]
    ids = torch.tensor([[token for text in texts for token in text]])
    return TextBatch({"input_ids": ids}, starts, lengths, tuple(_runs(lengths)))


def collate_unpadded(model: PreTrainedModel, texts: Sequence[Sequence[int]], pad_id: int) -> TextBatch:
    """Texts one after another with their positions, filled up to a size that repeats (`rounded`)."""
    lengths = [len(ids) for ids in texts]
    *starts, tokens = (0, *accumulate(lengths))
    filler = rounded(tokens) - tokens
    padding = padding_index(model)
    positions = [_positions(ids, padding) for ids in texts]
    inputs = {
        "input_ids": torch.tensor([[*(token for ids in texts for token in ids), *[pad_id] * filler]]),
        "position_ids": torch.from_numpy(np.concatenate([*positions, np.full(filler, positions[0][0])])).unsqueeze(0),
    }
    return TextBatch(inputs, starts, lengths, tuple(_runs(lengths)))


def _positions(ids: Sequence[int], padding: int | None) -> NDArray[np.int64]:
    """Positions of a text's tokens, int64.

    padding: RoBERTa's kind counts the tokens that are not padding, from its index on; None: positions begin at 0.
    """
    if padding is None:
        return np.arange(len(ids))
    real = np.asarray(ids) != padding
    return np.asarray(np.cumsum(real) * real + padding, np.int64)


def rounded(tokens: int) -> int:
    """Up to a multiple of 8, and of more for many: at most an eighth is added, and there are 8 sizes an octave.

    oneDNN makes a kernel for every size of a product that it meets, which takes as long as running it on some
    hundred tokens; batches as they come hardly ever repeat a size.
    """
    step = 1 << max(3, (tokens - 1).bit_length() - 4)
    return -(-tokens // step) * step


def _runs(lengths: Sequence[int]) -> Iterator[Run]:
    start = 0
    for length, same in groupby(lengths):
        count = sum(1 for _ in same)
        yield start, count, length
        start += count * length


@contextmanager
def attend_unpadded(model: PreTrainedModel) -> Iterator[None]:
    """One thread at a time, as for everything that runs a model; another thread has a replica."""
    before = model.config._attn_implementation
    model.config._attn_implementation = _ATTENTION
    try:
        yield
    finally:
        model.config._attn_implementation = before


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    runs: Sequence[Run] = (),
    spans: Spans | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """[1, heads, tokens, D] each → [1, tokens, heads, D]; a token sees those of its own text."""
    if spans is not None and can_attend_spans(query.device, query.dtype, query.shape[-1]):
        return attend_spans(query, key, value, spans, scaling), None
    attend = partial(F.scaled_dot_product_attention, scale=scaling, dropout_p=dropout)
    if torch.is_grad_enabled():
        return _attend_in_parts(attend, (query, key, value), runs), None
    _batch, heads, tokens, width = query.shape
    out = query.new_empty(1, tokens, heads, width)
    for start, count, length in runs:
        stop = start + count * length
        q, k, v = (t[0, :, start:stop].view(heads, count, length, width).transpose(0, 1) for t in (query, key, value))
        seen = attend(q, k, v)  # [count, heads, length, D]
        out[0, start:stop].view(count, length, heads, width).copy_(seen.transpose(1, 2))
    start, count, length = runs[-1]
    out[0, start + count * length :] = 0  # what fills the batch sees nothing
    return out, None


def _attend_in_parts(
    attend: Callable[[Tensor, Tensor, Tensor], Tensor], inputs: Sequence[Tensor], runs: Sequence[Run]
) -> Tensor:
    """Does the same without writing into a result: the backward pass of that fills whole tensors for each run."""
    _batch, heads, tokens, width = inputs[0].shape
    sizes = [count * length for _, count, length in runs]
    filler = tokens - sum(sizes)
    parts = [torch.split(tensor[0], [*sizes, filler], dim=1) for tensor in inputs]
    found = []
    for place, (_, count, length) in enumerate(runs):
        q, k, v = (part[place].view(heads, count, length, width).transpose(0, 1) for part in parts)
        seen = attend(q, k, v)  # [count, heads, length, D]
        found.append(seen.transpose(1, 2).reshape(count * length, heads, width))
    return torch.cat([*found, inputs[0].new_zeros(filler, heads, width)]).unsqueeze(0)


AttentionInterface.register(_ATTENTION, _attend)
