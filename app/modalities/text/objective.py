"""A text model with its tokenizer and what it can do."""

import copy
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from app.modalities.base import AnyHandler
from app.modalities.served_model import MaskedModel
from app.modalities.text import sentence_transformers
from app.modalities.text.embed import TextEmbed
from app.modalities.text.encoder import position_limit
from app.modalities.text.encoding import TextEncoder
from app.modalities.text.fill_mask import FillMask
from app.modalities.text.items import TokenInfo
from app.modalities.text.pretrain import MaskedRow, MlmBatch, Row, TextPretraining
from app.modalities.text.score import Score
from app.types import ModalityName, Pooling, Task


class TextObjective(TextPretraining, MaskedModel[Row, MaskedRow, MlmBatch]):
    """A masked language model, or a bare encoder, from anywhere: a folder or built from scratch.

    has_head: the model is a masked LM whose head means something; only then can it fill masks.
    new_head: that head is random yet, for training to fill.
    pooling, normalize: how it embeds unless asked otherwise.
    embed_max_length: tokens that it embeds, where its author set less than it can read.
    max_length: tokens that it can read, special ones included.
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
        new_head: bool = False,
        pooling: Pooling = Pooling.MEAN,
        normalize: bool = True,
        embed_max_length: int | None = None,
    ) -> None:
        self.model = model.eval()
        # The gathering before the head and the pooling read outputs by name.
        model.config.return_dict = True
        self.tokenizer = tokenizer
        self.has_head, self.new_head = has_head, new_head
        self.max_length = min(position_limit(model), int(tokenizer.model_max_length))  # 10^30 is "unknown"
        self.dimensions = int(model.config.hidden_size)
        self._encoder = TextEncoder(tokenizer)
        self.mask_token = self._encoder.mask_token
        self._pooling, self._normalize = pooling, normalize
        self._embed_max_length = min(self.max_length, embed_max_length or self.max_length)
        embed = TextEmbed(model, self._encoder, pooling=pooling, normalize=normalize, max_length=self._embed_max_length)
        self.tasks: dict[Task, AnyHandler] = {Task.EMBED: embed}
        if has_head and self.mask_token is not None:
            self.tasks[Task.FILL_MASK] = FillMask(model, self._encoder, max_length=self.max_length)
            self.tasks[Task.SCORE] = Score(model, self._encoder, max_length=self.max_length)

    def tokenize(self, text: str, add_special_tokens: bool = True) -> Iterator[TokenInfo]:
        return self._encoder.tokens(text, add_special_tokens=add_special_tokens)

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        self.model.to(device)  # type: ignore[arg-type]  # a decorator of transformers hides the signature
        for parameter in self.model.parameters():
            # Not the buffers: rotary frequencies in bfloat16 blur the positions of a long text.
            parameter.data = parameter.data.to(dtype)

    def save(self, folder: Path, dtype: torch.dtype) -> None:
        """Writes the model, which itself stays as it is, its tokenizer and how it embeds."""
        exported = copy.deepcopy(self.model)
        nn.Module.to(exported, "cpu", dtype)
        exported.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        sentence_transformers.write(
            folder,
            pooling=self._pooling,
            normalize=self._normalize,
            max_length=self._embed_max_length,
            dimension=self.dimensions,
        )
