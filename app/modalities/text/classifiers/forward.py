"""The way in which a classifier runs on a batch, which `app.modalities.text.classifiers.proof` has shown to be right.

The encoder runs as that of any text model. The head is that of transformers, whatever it computes.
"""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from app.modalities.text.batches import TextBatch, attend_unpadded
from app.modalities.text.classifiers.template import TypedIds
from app.modalities.text.encoder import find_after_last_attention
from app.modalities.text.forward import Batching, ForwardPath, TextForward, reset_attention

_LAYERS = ("encoder", "transformer")  # names of the module that holds an encoder's layers

Inputs = dict[str, Tensor]


class ClassifierForward(TextForward):
    """A classifier of texts or of their tokens with its forward path.

    model: with a head of transformers. reads_types: it reads the types of tokens (`token_type_ids`).
    """

    def __init__(self, model: PreTrainedModel, path: ForwardPath, pad_id: int, *, reads_types: bool) -> None:
        super().__init__(model, path, pad_id)
        self._reads_types = reads_types

    def collate_rows(self, rows: Sequence[TypedIds]) -> TextBatch:
        """Returns a batch of texts. Types that are all 0 are left out, as models read them without any."""
        batch = self.collate([row.ids for row in rows])
        if not self._reads_types or not any(map(any, (row.types for row in rows))):
            return batch
        ids = batch.inputs["input_ids"]
        types = torch.zeros(ids.numel(), dtype=torch.int64)
        for start, row in zip(batch.starts, rows, strict=True):
            types[start : start + len(row.types)] = torch.tensor(row.types)
        return replace(batch, inputs={**batch.inputs, "token_type_ids": types.view(ids.shape)})

    def text_logits(self, batch: TextBatch) -> Tensor:
        """Returns the logits [B, L] of texts, in the dtype of the model."""
        if self.path.batching is Batching.EQUAL_LENGTHS:
            return torch.cat([self._head(inputs) for inputs in self._groups(batch)])
        if not batch.runs:
            return self._head(batch.inputs)
        starts = torch.tensor(batch.starts, device=self.device)
        with first_tokens_before_head(self.model, starts), attend_unpadded(self.model):
            return self._head(batch.inputs, runs=batch.runs)

    def token_logits(self, batch: TextBatch) -> Tensor:
        """Returns the logits [tokens, L] of all texts' tokens, one text after another, without padding."""
        if self.path.batching is Batching.EQUAL_LENGTHS:
            return torch.cat([self._head(inputs).flatten(0, 1) for inputs in self._groups(batch)])
        if not batch.runs:
            seen = batch.inputs["attention_mask"].to(self.device).bool()
            return self._head(batch.inputs)[seen]
        with attend_unpadded(self.model):
            return self._head(batch.inputs, runs=batch.runs).flatten(0, 1)[: sum(batch.lengths)]

    def _head(self, inputs: Inputs, **options: Any) -> Tensor:
        reset_attention(self.model)
        placed = {name: tensor.to(self.device) for name, tensor in inputs.items()}
        return cast(Tensor, self.model(**placed, **options).logits)

    def _groups(self, batch: TextBatch) -> Iterator[Inputs]:
        """Yields inputs [B, L] of neighbours of equal length.

        Encoder-decoders read one text at a time: their head wants the same number of end tokens in all texts.
        """
        alone = self.model.config.is_encoder_decoder
        for start, count, length in batch.runs:
            some = 1 if alone else count
            for first in range(start, start + count * length, some * length):
                yield {
                    name: tensor[0, first : first + some * length].view(some, length)
                    for name, tensor in batch.inputs.items()
                }


@contextmanager
def first_tokens_before_head(model: PreTrainedModel, starts: Tensor) -> Iterator[None]:
    """Within it, all that follows the encoder's layers sees the first token of each text, as texts of one token.

    starts: [N] places of the first tokens in the encoder's flattened output. Heads and poolers that read the first
    token of a text compute the same. Where the architecture lets it, the last layer computes no other tokens.
    Raises ValueError for a model whose layers are not in a module of a known name.
    """

    def gather(hidden_states: Tensor) -> Tensor:
        return hidden_states.reshape(-1, hidden_states.shape[-1]).index_select(0, starts).unsqueeze(1)

    def gather_in_layer(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(map(gather, args))

    def gather_output(module: nn.Module, args: Any, output: Any) -> Any:
        output.last_hidden_state = gather(output.last_hidden_state)
        return output

    after_attention = find_after_last_attention(model)
    if after_attention is not None:
        handle = after_attention.register_forward_pre_hook(gather_in_layer)
    else:
        handle = _find_layers(model).register_forward_hook(gather_output)
    try:
        yield
    finally:
        handle.remove()


def _find_layers(model: PreTrainedModel) -> nn.Module:
    found = next((each for name in _LAYERS if (each := getattr(model.base_model, name, None)) is not None), None)
    if not isinstance(found, nn.Module):
        raise ValueError("the layers of the encoder are not in a module of a known name")
    return found


def reads_types(model: PreTrainedModel, names: Sequence[str]) -> bool:
    """Whether a model reads types of tokens. names: inputs that its tokenizer makes for it."""
    several = getattr(model.config, "type_vocab_size", None) or 0
    known = inspect.signature(model.forward).parameters
    return "token_type_ids" in names and "token_type_ids" in known and several > 1
