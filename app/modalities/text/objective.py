"""A text model with its tokenizer and what it can do."""

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from app.methods.tokenizers import TokenizerReport
from app.modalities.base import AnyHandler
from app.modalities.served_model import MaskedModel
from app.modalities.text.embed import TextEmbed
from app.modalities.text.encoder import position_limit, vocabulary_size
from app.modalities.text.encoding import TextEncoder
from app.modalities.text.fill_mask import FillMask
from app.modalities.text.forward import ForwardPath, TextForward
from app.modalities.text.items import TokenInfo
from app.modalities.text.new_tokenizers.round_trip import report_losses
from app.modalities.text.pipeline import SentencePipeline, SparsePooling
from app.modalities.text.pretrain import MlmBatch, TextPretraining
from app.modalities.text.proof import first_path
from app.modalities.text.row_masking import MaskedRow, Row
from app.modalities.text.score import Score
from app.modalities.text.sentence_writer import write_pipeline
from app.modalities.text.sparse import SparseHead
from app.types import ModalityName, Task


class TextObjective(TextPretraining, MaskedModel[Row, MaskedRow, MlmBatch]):
    """A masked language model, or a bare encoder, from anywhere: a folder or built from scratch.

    has_head: the model is a masked LM whose head means something; only then can it fill masks.
    headless: why it has no such head.
    new_head: that head is random yet, for training to fill.
    pipeline: how it embeds unless asked otherwise; by default the mean of the tokens, of length 1.
    max_length: tokens that it can read, special ones included. embed_max_length: tokens that it embeds.
    path: how batches of texts are run; by default the first one that is tried for the architecture.
    """

    modality = ModalityName.TEXT
    model: PreTrainedModel
    max_length: int
    dimensions: int
    reads_text = True

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        has_head: bool,
        headless: str = "it has no masked-LM head",
        new_head: bool = False,
        pipeline: SentencePipeline | None = None,
        path: ForwardPath | None = None,
    ) -> None:
        self.model = model.eval()
        # The gathering before the head and the pooling read outputs by name.
        model.config.return_dict = True
        self.tokenizer = tokenizer
        self.has_head, self.new_head = has_head, new_head
        self.max_length = longest_text(model, tokenizer)
        self.encoder = TextEncoder(tokenizer)
        self.mask_token = self.encoder.mask_token if knows_mask(model, tokenizer) else None
        self.path = path or first_path(model)
        self.forward_path = str(self.path)
        forward = TextForward(model, self.path, pad_token(model, tokenizer))
        self.pipeline = pipeline or SentencePipeline()
        self.prompts = self.pipeline.prompts
        self.pooling = "+".join(self.pipeline.pooling)
        self.further_modules = self.pipeline.modules
        self.embed_max_length = min(self.max_length, self.pipeline.max_length or self.max_length)
        sparse = SparseHead(forward, self.encoder, self.pipeline.sparse or SparsePooling()) if has_head else None
        embed = TextEmbed(
            forward, self.encoder, pipeline=self.pipeline, max_length=self.embed_max_length, sparse=sparse
        )
        tokens = self.pipeline.multi_vector
        self.dimensions = embed.dimensions if tokens is None else tokens.dimensions(int(model.config.hidden_size))
        self.expanded_length = tokens.expansion.length if tokens and tokens.expansion else 0
        self.comparison = self.pipeline.comparison()
        self.tasks: dict[Task, AnyHandler] = {Task.EMBED: embed}
        if has_head and self.mask_token is not None:
            self.tasks[Task.FILL_MASK] = FillMask(forward, self.encoder, max_length=self.max_length)
            self.tasks[Task.SCORE] = Score(forward, self.encoder, max_length=self.max_length)
        else:
            reason = headless if not has_head else _lacking_mask(tokenizer)
            self.unsupported = {Task.FILL_MASK: reason, Task.SCORE: reason}

    def affixes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The special tokens that the tokenizer puts before and after a text."""
        return np.array(self.encoder.prefix, dtype=np.int64), np.array(self.encoder.suffix, dtype=np.int64)

    def tokenize(self, text: str, add_special_tokens: bool = True) -> Iterator[TokenInfo]:
        return self.encoder.tokens(text, add_special_tokens=add_special_tokens)

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        return self.encoder.decode(ids, skip_special_tokens=skip_special_tokens)

    def report_tokenizer(self, texts: Sequence[str]) -> TokenizerReport:
        return report_losses(self.tokenizer.backend_tokenizer, texts, "base", "the tokenizer of the model")

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        self.model.to(device)  # type: ignore[arg-type]  # a decorator of transformers hides the signature
        for parameter in self.model.parameters():
            # Not the buffers: rotary frequencies in bfloat16 blur the positions of a long text.
            parameter.data = parameter.data.to(dtype)
        for module in self.further_modules:
            module.to(device)  # in float32, which vectors are pooled in

    def parameter_count(self) -> int:
        return super().parameter_count() + sum(
            each.numel() for module in self.further_modules for each in module.parameters()
        )

    def save(self, folder: Path, dtype: torch.dtype) -> None:
        """Writes the model, which itself stays as it is, its tokenizer and how it embeds."""
        exported = copy.deepcopy(self.model)
        nn.Module.to(exported, "cpu", dtype)
        exported.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        write_pipeline(
            folder,
            self.pipeline,
            max_length=self.embed_max_length,
            dimension=int(self.model.config.hidden_size),
        )


def longest_text(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Tokens that a model with its tokenizer reads, special ones included."""
    given = int(tokenizer.model_max_length)  # 10^30 is "unknown", and so is -1
    return min(position_limit(model), given) if given > 0 else position_limit(model)


def _lacking_mask(tokenizer: PreTrainedTokenizerBase) -> str:
    if tokenizer.mask_token is None:
        return "its tokenizer has no mask token"
    return f"its mask token {tokenizer.mask_token!r} is outside the model's embedding table"


def pad_token(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """The id that batches are padded with: the model's own, since some models number positions by it."""
    given = (model.config.pad_token_id, tokenizer.pad_token_id)
    return next((int(each) for each in given if each is not None and 0 <= each < vocabulary_size(model)), 0)


def knows_mask(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the mask token is in the model's table; one that was added to the tokenizer later may not be."""
    return tokenizer.mask_token is not None and tokenizer.mask_token_id < vocabulary_size(model)
