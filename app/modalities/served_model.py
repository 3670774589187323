"""The interface between serving and a model: `ServedModel`."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from app.methods.tokenizers import TokenizerReport
from app.modalities.base import AnyHandler
from app.modalities.comparison import InputComparison
from app.modalities.text.items import TokenInfo
from app.modalities.trainable import B, Masked, Sample, Trainable
from app.types import Classifier, Task


class ServedModel(ABC):
    """A loaded model as requests use it.

    modality: the name of a registered modality.
    further_modules: modules with weights that are not part of `model`, such as those behind the pooling.
    tasks: a handler for each task that the model can do.
    unsupported: why the model cannot do a task that others of its kind can, as the end of a sentence.
    mask_token: the text that stands for a masked token; None where the model reads no text or has no such token.
    max_length: tokens that the model reads, special ones included; None where its items have no such bound.
    dimensions: of the vectors that the model gives; None if unknown.
    expanded_length: tokens that a query has at least where it is embedded as vectors of tokens; 0 for no such number.
    forward_path: how batches are run, as text, where an import proves it; None where there is one way only.
    classifier: the facts about its outputs, of a model that classifies; None for others.
    pooling: how its vectors are pooled, in a word; None if unknown.
    comparison: how it compares two inputs, unless a request asks for another way.
    prompts: texts that go before others that are embedded, by name.
    reads_text: whether `tokenize`, `decode` and `report_tokenizer` can be used.
    """

    modality: str
    model: nn.Module
    further_modules: Sequence[nn.Module] = ()
    tasks: Mapping[Task, AnyHandler]
    unsupported: Mapping[Task, str] = MappingProxyType({})
    mask_token: str | None = None
    max_length: int | None = None
    dimensions: int | None = None
    expanded_length: int = 0
    forward_path: str | None = None
    classifier: Classifier | None = None
    pooling: str | None = None
    comparison: InputComparison = InputComparison()
    prompts: Mapping[str, str] = MappingProxyType({})
    reads_text: bool = False

    def tokenize(self, text: str, add_special_tokens: bool = True) -> Iterator[TokenInfo]:
        """Returns the tokens of a text, one by one. Raises NotImplementedError where `reads_text` is False."""
        raise NotImplementedError(f"a model of {self.modality} has no tokenizer")

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        """Returns the text of token ids. Raises InvalidValue, and NotImplementedError where `reads_text` is False."""
        raise NotImplementedError(f"a model of {self.modality} has no tokenizer")

    def report_tokenizer(self, texts: Sequence[str]) -> TokenizerReport:
        """Returns what the tokenizer loses of texts. Raises NotImplementedError where `reads_text` is False."""
        raise NotImplementedError(f"a model of {self.modality} has no tokenizer")

    @abstractmethod
    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Moves the model; serving calls it once, before the first task."""

    def parameter_count(self) -> int:
        return sum(parameter.numel() for parameter in self.model.parameters())


class MaskedModel(ServedModel, Trainable[Sample, Masked, B]):
    """A model that can be served and trained. Both use the same processor, so preprocessing cannot drift."""


AnyMaskedModel = MaskedModel[Any, Any, Any]
