"""A text model as an ONNX graph: its inputs, its outputs, and the file."""

import inspect
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from app.errors import InvalidModel
from app.modalities.model_files import first_line
from app.modalities.text.forward import reset_attention
from app.modalities.text.pipeline import PoolingMode, SentencePipeline

OPSET = 18
GRAPH, WEIGHTS = "model.onnx", "model.onnx_data"  # the names that transformers.js and optimum look for

_MAX_FILE_BYTES = 2 * 10**9  # of weights within the graph; protobuf reads no message of 2 GiB


class TextGraph(nn.Module):
    """A text model with the inputs and outputs of its graph.

    pipeline: None for a masked language model, whose output is `logits` [B, L, V]. Otherwise the outputs are
    `last_hidden_state` [B, L, H] and `sentence_embedding` [B, D], which the pipeline computes.
    Texts are padded at their ends.
    """

    def __init__(self, model: PreTrainedModel, pipeline: SentencePipeline | None) -> None:
        super().__init__()
        chosen = model if pipeline is None else cast(PreTrainedModel, model.base_model)
        self.model: Any = chosen
        self.pipeline = pipeline
        self.inputs = ["input_ids", "attention_mask", *(["token_type_ids"] if _has_types(chosen) else [])]
        self.outputs = ["logits"] if pipeline is None else ["last_hidden_state", "sentence_embedding"]

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        output = self.model(input_ids=input_ids, attention_mask=attention_mask, **types)
        if self.pipeline is None:
            return (output.logits,)
        hidden_states: Tensor = output.last_hidden_state
        return hidden_states, _embed(self.pipeline, hidden_states, attention_mask)

    def write(self, folder: Path, example: Mapping[str, Tensor]) -> None:
        """Writes the graph into a folder; weights of more than 2 GB are a file of their own.

        example: inputs that the model is traced with, of several texts and one that is padded: a mask without a zero
        would be left out of the graph. Raises InvalidModel.
        """
        import onnx_ir

        shape = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
        reset_attention(self.model)
        try:
            with _quiet():
                program = torch.onnx.export(
                    self,
                    tuple(example[name] for name in self.inputs),
                    input_names=self.inputs,
                    output_names=self.outputs,
                    dynamic_shapes=dict.fromkeys(self.inputs, shape),
                    opset_version=OPSET,
                    dynamo=True,
                    verbose=False,
                )
        except Exception as error:  # of any of the exporter's steps
            raise InvalidModel(
                f"{self.model.config.model_type!r} cannot be exported to ONNX: {first_line(_cause(error))}"
            ) from error
        assert program is not None
        weights = sum(each.numel() * each.element_size() for each in self.parameters())
        onnx_ir.save(program.model, folder / GRAPH, external_data=WEIGHTS if weights > _MAX_FILE_BYTES else None)


def _has_types(model: PreTrainedModel) -> bool:
    """Whether the model tells sentences apart by token types; those of TAPAS are of tables, seven for each token."""
    config = model.config
    several = (getattr(config, "type_vocab_size", None) or 0) > 1 and not hasattr(config, "type_vocab_sizes")
    return several and "token_type_ids" in inspect.signature(model.forward).parameters


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps what the exporter reports of its own steps out of a command's output; its errors are raised, too."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def _cause(error: BaseException) -> BaseException:
    return error if error.__cause__ is None else _cause(error.__cause__)


def _embed(pipeline: SentencePipeline, hidden_states: Tensor, mask: Tensor) -> Tensor:
    """hidden_states [B, L, H] and attention mask [B, L] → embeddings [B, D]."""
    kept = mask.unsqueeze(-1).to(hidden_states.dtype)
    vectors: Tensor = pipeline.head(
        torch.cat([_POOLERS[mode](hidden_states, kept) for mode in pipeline.pooling], dim=-1)
    )
    if pipeline.normalize:
        vectors = nn.functional.normalize(vectors, dim=-1)
    return vectors[:, : pipeline.truncate_dim]


def _mean(hidden_states: Tensor, kept: Tensor) -> Tensor:
    return (hidden_states * kept).sum(1) / kept.sum(1)


def _mean_sqrt_length(hidden_states: Tensor, kept: Tensor) -> Tensor:
    return (hidden_states * kept).sum(1) / kept.sum(1).sqrt()


def _weighted_mean(hidden_states: Tensor, kept: Tensor) -> Tensor:
    weights = kept * torch.arange(1, hidden_states.shape[1] + 1, device=hidden_states.device).unsqueeze(-1)
    return (hidden_states * weights).sum(1) / weights.sum(1)


def _cls(hidden_states: Tensor, kept: Tensor) -> Tensor:
    return hidden_states[:, 0]


def _last_token(hidden_states: Tensor, kept: Tensor) -> Tensor:
    last = (kept.sum(1, keepdim=True) - 1).long()  # [B, 1, 1]
    return hidden_states.gather(1, last.expand(-1, -1, hidden_states.shape[2]))[:, 0]


def _max(hidden_states: Tensor, kept: Tensor) -> Tensor:
    return hidden_states.masked_fill(kept == 0, float("-inf")).amax(1)


# `app.modalities.text.pipeline` pools texts one after another; a graph has them in rows.
# hidden_states [B, L, H], kept [B, L, 1] → [B, H]
_POOLERS: Mapping[PoolingMode, Callable[[Tensor, Tensor], Tensor]] = {
    PoolingMode.CLS: _cls,
    PoolingMode.MAX: _max,
    PoolingMode.MEAN: _mean,
    PoolingMode.MEAN_SQRT_LENGTH: _mean_sqrt_length,
    PoolingMode.WEIGHTED_MEAN: _weighted_mean,
    PoolingMode.LAST: _last_token,
}
