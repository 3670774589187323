"""The way in which a text model runs on a batch, which `app.modalities.text.proof` has shown to be right for it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, cast

import torch
from torch import Tensor
from transformers import PreTrainedModel

from app.modalities.text.batches import (
    TextBatch,
    attend_unpadded,
    collate_equal_lengths,
    collate_padded,
    collate_unpadded,
    rounded,
)
from app.modalities.text.encoder import rows_before_head, vocabulary_size
from app.modalities.text.spans import Spans, can_attend_spans

_LOGITS = 1 << 25  # logits computed at once where the head runs on whole texts: 128 MiB in float32


class Batching(StrEnum):
    """How texts of different lengths share a batch.

    UNPADDED: one after another, each attending to itself. On a GPU this takes a kernel for texts of several lengths,
    since one call a length is slow there; without it they are padded.
    PADDED: padded to the longest, with an attention mask.
    EQUAL_LENGTHS: only texts of one length share a forward, for models in which padding changes the result.
    """

    UNPADDED = "unpadded"
    PADDED = "padded"
    EQUAL_LENGTHS = "equal-lengths"


@dataclass(frozen=True)
class ForwardPath:
    """batching: of texts. whole_head: the head runs on whole texts, since its result for a token needs the others."""

    batching: Batching
    whole_head: bool = False

    def __str__(self) -> str:
        return f"{self.batching}+whole-head" if self.whole_head else str(self.batching)

    @classmethod
    def parse(cls, name: str) -> "ForwardPath":
        """The inverse of `str`. Raises ValueError."""
        batching, _, head = name.partition("+")
        if head not in ("", "whole-head"):
            raise ValueError(f"{name!r} is not a forward path")
        return cls(Batching(batching), whole_head=bool(head))


class TextForward:
    """A text model with its forward path. `collate` runs on any thread, the rest on one at a time."""

    def __init__(self, model: PreTrainedModel, path: ForwardPath, pad_id: int) -> None:
        self.model, self.path = model, path
        self._pad_id = pad_id
        self._table = cast(Tensor, model.get_input_embeddings().weight)

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return self._table.device

    @property
    def pads(self) -> bool:
        """Whether a batch is padded to its longest text."""
        # By the device of one tensor, not `model.device`, which looks through all modules: it is asked for every text.
        if self.path.batching is not Batching.UNPADDED:
            return self.path.batching is Batching.PADDED
        return self._table.device.type != "cpu" and not self._has_spans

    @property
    def _has_spans(self) -> bool:
        """Whether texts without padding share one attention kernel. It has no dropout, which training may need."""
        if self._table.device.type == "cpu" or self.model.training:
            return False
        config = self.model.config
        heads = getattr(config, "num_attention_heads", 1)
        size = getattr(config, "head_dim", None) or config.hidden_size // heads
        return can_attend_spans(self._table.device, self._table.dtype, size)

    def collate(self, texts: Sequence[Sequence[int]]) -> TextBatch:
        """texts: token ids of each, special ones included."""
        if self.path.batching is Batching.EQUAL_LENGTHS:
            return collate_equal_lengths(texts)
        pads = self.pads
        batch = collate_padded(texts, self._pad_id) if pads else collate_unpadded(self.model, texts, self._pad_id)
        if self._table.device.type == "cpu":
            return batch
        # The copy to the GPU from pinned memory does not wait for the forward that runs.
        return replace(batch, inputs={name: tensor.pin_memory() for name, tensor in batch.inputs.items()})

    def places(self, batch: TextBatch, positions: Sequence[tuple[int, int]]) -> Tensor:
        """Indices [N or more] of (text, position) pairs into the flattened batch.

        Without padding there are more than N, for the same reason as tokens of a batch (`rounded`); the first N count.
        """
        found = [batch.starts[text] + position for text, position in positions]
        more = rounded(len(found)) - len(found) if batch.runs and self.path.batching is Batching.UNPADDED else 0
        return torch.tensor([*found, *[0] * more])

    def logits(self, batch: TextBatch, places: Tensor) -> Tensor:
        """The logits [N or more, V] at `places`, in the dtype of the model."""
        places = places.to(self._table.device)
        if self.path.batching is Batching.EQUAL_LENGTHS:
            return self._logits_of_runs(batch, places)
        if self.path.whole_head:
            found: Tensor = self._run(self.model, batch).logits
            return found.reshape(-1, found.shape[-1])[places]
        with rows_before_head(self.model, places):
            return cast(Tensor, self._run(self.model, batch).logits[0])

    def hidden_states(self, batch: TextBatch) -> Tensor:
        """The encoder's last hidden states [tokens, H] of all texts, one after another, without padding."""
        encoder = cast(PreTrainedModel, self.model.base_model)
        if self.path.batching is Batching.EQUAL_LENGTHS:
            found = [_flat(self._plain(encoder, ids).last_hidden_state) for ids, _ in self._chunks(batch, limit=None)]
            return torch.cat(found)
        flat = _flat(self._run(encoder, batch).last_hidden_state)
        if batch.runs:
            return flat[: sum(batch.lengths)]
        return flat[batch.inputs["attention_mask"].to(flat.device).reshape(-1).bool()]

    def all_hidden_states(self, batch: TextBatch) -> Sequence[Tensor] | None:
        """The encoder's hidden states of all layers, [tokens, H] each, as transformers' `output_hidden_states`.

        The first are the embeddings of the tokens. None for an architecture that does not give a vector of every
        token for every layer.
        """
        encoder = cast(PreTrainedModel, self.model.base_model)
        if self.path.batching is not Batching.EQUAL_LENGTHS:
            outputs = [self._run(encoder, batch, output_hidden_states=True)]
        else:
            outputs = [
                self._plain(encoder, ids, output_hidden_states=True) for ids, _ in self._chunks(batch, limit=None)
            ]
        found = [self._states_of(output) for output in outputs]
        if any(states is None for states in found):
            return None
        joined = [torch.cat(parts) for parts in zip(*cast(list[list[Tensor]], found), strict=True)]
        if batch.runs:
            return [states[: sum(batch.lengths)] for states in joined]
        kept = batch.inputs["attention_mask"].to(self.device).reshape(-1).bool()
        return [states[kept] for states in joined]

    def partly_attended(self, texts: Sequence[Sequence[int]], attended: Sequence[int]) -> Tensor:
        """The encoder's last hidden states [B, L, H] of texts of one length, computed as transformers does.

        attended: for each text, how many of its first tokens are seen, by all of its tokens.
        """
        ids = torch.tensor(texts, device=self.device)
        seen = torch.arange(ids.shape[1], device=self.device) < torch.tensor(attended, device=self.device)[:, None]
        encoder = cast(PreTrainedModel, self.model.base_model)
        found: Tensor = self._plain(encoder, ids, attention_mask=seen.long()).last_hidden_state
        return found

    def _states_of(self, output: Any) -> list[Tensor] | None:
        """Returns all hidden states of an encoder's output, [B × L, H] each; None where they are not whole."""
        states, last = getattr(output, "hidden_states", None), output.last_hidden_state
        layers = self.model.config.num_hidden_layers
        if states is None or len(states) != layers + 1 or any(each.shape != last.shape for each in states):
            return None
        return [_flat(each) for each in (*states[:-1], last)]

    def first_hidden_states(self, batch: TextBatch) -> Tensor:
        """[B, H] of each text's first token. Where the architecture lets it, the last layer computes no others."""
        if self.path.batching is Batching.EQUAL_LENGTHS:
            starts = torch.tensor(batch.starts, device=self._table.device)
            return self.hidden_states(batch)[starts]
        places = self.places(batch, [(text, 0) for text in range(len(batch.starts))])
        with rows_before_head(self.model, places.to(self._table.device)):
            found: Tensor = self._run(cast(PreTrainedModel, self.model.base_model), batch).last_hidden_state[0]
        return found[: len(batch.starts)]

    def _run(self, model: PreTrainedModel, batch: TextBatch, **options: Any) -> Any:
        inputs = {name: tensor.to(self._table.device, non_blocking=True) for name, tensor in batch.inputs.items()}
        reset_attention(self.model)
        if not batch.runs:
            return model(**inputs, **options)
        if self._table.device.type != "cpu":
            filler = inputs["input_ids"].numel() - sum(batch.lengths)
            options["spans"] = Spans.of(batch.lengths, filler, self._table.device)
        with attend_unpadded(self.model):
            return model(**inputs, **options, runs=batch.runs)

    def _plain(self, model: PreTrainedModel, ids: Tensor, **options: Any) -> Any:
        reset_attention(self.model)
        return model(ids, **options)

    def _logits_of_runs(self, batch: TextBatch, places: Tensor) -> Tensor:
        width = vocabulary_size(self.model)
        found = []
        for ids, start in self._chunks(batch, limit=_LOGITS // width if self.path.whole_head else None):
            inside = places[(places >= start) & (places < start + ids.numel())] - start
            if not len(inside):
                continue
            if self.path.whole_head:
                found.append(_flat(self._plain(self.model, ids).logits)[inside])
            else:
                with rows_before_head(self.model, inside):
                    found.append(self._plain(self.model, ids).logits[0])
        return torch.cat(found)

    def _chunks(self, batch: TextBatch, limit: int | None) -> Iterator[tuple[Tensor, int]]:
        """Ids [B, L] of neighbours of equal length, of about `limit` tokens at most, and where they begin."""
        ids = batch.inputs["input_ids"].to(self._table.device)[0]
        for start, count, length in batch.runs:
            most = count if limit is None else max(1, limit // length)
            for first in range(0, count, most):
                some = min(most, count - first)
                begin = start + first * length
                yield ids[begin : begin + some * length].view(some, length), begin


def _flat(tensor: Tensor) -> Tensor:
    return tensor.reshape(-1, tensor.shape[-1])


def reset_attention(model: PreTrainedModel) -> None:
    """Makes a BigBird choose its attention anew: after one short text it attends fully to all that follow."""
    wanted = getattr(model.config, "attention_type", None)
    base = model.base_model
    if wanted is not None and getattr(base, "attention_type", wanted) != wanted:
        base.set_attention_type(wanted)  # type: ignore[operator]  # a method of that model alone
