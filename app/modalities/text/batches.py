"""A batch of texts as the model takes it: one after another without padding where it can, else padded.

Without padding every layer but the attention sees one long text, and the attention sees each by
itself: no mask is applied, and texts of any lengths share a batch. All that is computed for nothing
are the few tokens that round the batch's size, so that the processor's kernels are made for few sizes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, PreTrainedModel

from app.modalities.text.encoder import pad

# Model types whose attention goes through transformers' interface and knows no distance between tokens
# but the positions that they are given.
UNPADDED = frozenset({"bert", "electra", "albert", "distilbert", "roberta", "xlm-roberta"})
_POSITIONS_AFTER_PADDING = frozenset({"roberta", "xlm-roberta"})  # number positions from the padding token's id + 1
_ATTENTION = "cloze_unpadded"

Run = tuple[int, int, int]  # where texts of equal length begin, how many there are, tokens of each


@dataclass(frozen=True)
class TextBatch:
    """ids of B texts with what the model needs beside them. starts, lengths: of each, in the flattened output."""

    inputs: dict[str, Tensor]
    starts: list[int]
    lengths: list[int]
    runs: tuple[Run, ...] = ()  # without padding

    def places(self, row: int, positions: Sequence[int]) -> list[int]:
        """Indices into the flattened output of a text's positions."""
        return [self.starts[row] + position for position in positions]


def pads(model: PreTrainedModel) -> bool:
    """Whether a batch is padded to its longest text. On a GPU it is: one call a length is slow there."""
    # Of one tensor, not `model.device`, which looks through the modules: it is asked for every text.
    device = cast(Tensor, model.get_input_embeddings().weight).device
    return model.config.model_type not in UNPADDED or device.type != "cpu"


def collate(model: PreTrainedModel, texts: Sequence[Sequence[int]], pad_id: int) -> TextBatch:
    lengths = [len(ids) for ids in texts]
    if pads(model):
        inputs = pad(texts, pad_id)
        width = inputs["input_ids"].shape[1]
        return TextBatch(inputs, [i * width for i in range(len(texts))], lengths)
    first = pad_id + 1 if model.config.model_type in _POSITIONS_AFTER_PADDING else 0
    *starts, tokens = (0, *accumulate(lengths))
    filler = rounded(tokens) - tokens
    positions = [torch.arange(first, first + length) for length in lengths]
    inputs = {
        "input_ids": torch.tensor([[*(token for ids in texts for token in ids), *[pad_id] * filler]]),
        "position_ids": torch.cat([*positions, torch.full((filler,), first)]).unsqueeze(0),
    }
    return TextBatch(inputs, starts, lengths, tuple(_runs(lengths)))


def rounded(tokens: int) -> int:
    """Up to a multiple of 8, and of more for many: at most an eighth is added, and there are 8 sizes an octave.

    oneDNN makes a kernel for every size of a product that it meets, which takes as long as running it on some
    hundred tokens; batches as they come hardly ever repeat a size.
    """
    step = 1 << max(3, (tokens - 1).bit_length() - 4)
    return -(-tokens // step) * step


def rounded_places(model: PreTrainedModel, places: Sequence[int]) -> Tensor:
    """Indices of N tokens of a batch; without padding there are more, for the same reason, and the first N count."""
    more = 0 if pads(model) else rounded(len(places)) - len(places)
    return torch.tensor([*places, *[0] * more])


def _runs(lengths: Sequence[int]) -> Iterator[Run]:
    start = 0
    for length, same in groupby(lengths):
        count = sum(1 for _ in same)
        yield start, count, length
        start += count * length


def forward(model: PreTrainedModel, batch: TextBatch) -> Any:
    """The model's output, as `starts` and `lengths` describe it once [B, L] is flattened."""
    inputs = {name: tensor.to(model.device) for name, tensor in batch.inputs.items()}
    if not batch.runs:
        return model(**inputs)
    with _attending(model):
        return model(**inputs, runs=batch.runs)


def encode(model: PreTrainedModel, batch: TextBatch) -> Tensor:
    """The encoder's last hidden states [tokens, H] of all texts, one after another, without padding."""
    hidden: Tensor = forward(cast(PreTrainedModel, model.base_model), batch).last_hidden_state
    flat = hidden.reshape(-1, hidden.shape[-1])
    if batch.runs:
        return flat[: sum(batch.lengths)]
    return flat[batch.inputs["attention_mask"].to(flat.device).reshape(-1).bool()]


@contextmanager
def _attending(model: PreTrainedModel) -> Iterator[None]:
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
    runs: Sequence[Run] = (),
    **_: Any,
) -> tuple[Tensor, None]:
    """[1, heads, tokens, D] each → [1, tokens, heads, D]; a token sees those of its own text."""
    _batch, heads, tokens, width = query.shape
    out = query.new_empty(1, tokens, heads, width)
    for start, count, length in runs:
        stop = start + count * length
        q, k, v = (t[0, :, start:stop].view(heads, count, length, width).transpose(0, 1) for t in (query, key, value))
        seen = F.scaled_dot_product_attention(q, k, v, scale=scaling)  # [count, heads, length, D]
        out[0, start:stop].view(count, length, heads, width).copy_(seen.transpose(1, 2))
    start, count, length = runs[-1]
    out[0, start + count * length :] = 0  # what fills the batch sees nothing
    return out, None


AttentionInterface.register(_ATTENTION, _attend)
