"""The encoder's side of a masked model: padding, gathering before the head."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

# Model types of which a layer is an attention and then, in modules of these names, what is done to each token alone.
ROWWISE_TYPES = frozenset({"bert", "electra", "roberta", "xlm-roberta"})

# Fields of configurations that hold the longest text, by architecture; and what models without one are given.
_LENGTHS = ("max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len")
_UNKNOWN_LENGTH = 512


def pad(rows: Sequence[Sequence[int]], pad_id: int) -> dict[str, Tensor]:
    """Token ids of different lengths → input_ids and attention_mask, [B, longest], int64."""
    shape = (len(rows), max(len(row) for row in rows))
    ids = np.full(shape, pad_id, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}


@contextmanager
def rows_before_head(model: PreTrainedModel, rows: Tensor, whole: list[Tensor] | None = None) -> Iterator[None]:
    """Within it the model's head sees only `rows` [N] of the encoder's flattened output, as [1, N, H].

    So logits cost what the masked positions cost, whatever the architecture's head looks like. Where the
    architecture lets it, the last layer computes no others either: only its attention needs them.
    `whole`, if it is given, receives the encoder's output [B, L, H], which is then computed in full.
    One thread at a time, and no gradient checkpointing, which would compute anew without it.
    """

    def gather(hidden_states: Tensor) -> Tensor:
        return hidden_states.reshape(-1, hidden_states.shape[-1]).index_select(0, rows).unsqueeze(0)

    def gather_in_layer(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(map(gather, args))

    def gather_output(module: nn.Module, args: Any, output: Any) -> Any:
        if whole is not None:
            whole.append(output.last_hidden_state)
        output.last_hidden_state = gather(output.last_hidden_state)
        return output

    after_attention = find_after_last_attention(model) if whole is None else None
    if after_attention is not None:
        handle = after_attention.register_forward_pre_hook(gather_in_layer)
    else:
        handle = model.base_model.register_forward_hook(gather_output)
    try:
        yield
    finally:
        handle.remove()


def find_after_last_attention(model: PreTrainedModel) -> nn.Module | None:
    """Returns the module that takes the attention's output and the layer's input; behind it tokens are independent.

    None for other architectures, and for a compiled encoder, which would be compiled anew for every N.
    """
    encoder: Any = model.base_model
    if model.config.model_type not in ROWWISE_TYPES or "forward" in vars(encoder):
        return None
    layers = encoder.encoder.layer
    if not layers or layers[-1].chunk_size_feed_forward:  # which would have to divide N
        return None
    return cast(nn.Module, layers[-1].attention.output)


def vocabulary_size(model: PreTrainedModel) -> int:
    """Rows of the embedding table: ids from 0 up to it; a tokenizer may know fewer."""
    return len(cast(Tensor, model.get_input_embeddings().weight))


def padding_index(model: PreTrainedModel) -> int | None:
    """The index from which RoBERTa's kind numbers positions: that of padding in its table; None for other models.

    It belongs to the model. The tokenizer's padding token may have another id.
    """
    table = _position_table(model)
    return None if table is None or table.padding_idx is None else int(table.padding_idx)


def position_limit(model: PreTrainedModel) -> int:
    """Tokens that the model can read, special ones included.

    RoBERTa's kind numbers positions from padding_idx + 1, so that many of its table are not for
    tokens. Relative and rotary models have no table; their configured length is the trained one.
    """
    lengths = [getattr(model.config, name, None) for name in _LENGTHS]
    if (table := _position_table(model)) is not None:
        first = 0 if table.padding_idx is None else int(table.padding_idx) + 1
        lengths.append(table.num_embeddings - first)
    return min((length for length in lengths if isinstance(length, int) and length > 0), default=_UNKNOWN_LENGTH)


def _position_table(model: PreTrainedModel) -> nn.Embedding | None:
    table = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    return table if isinstance(table, nn.Embedding) else None
