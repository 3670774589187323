"""A text model with a classification head and its tokenizer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from app.methods.tokenizers import TokenizerReport
from app.modalities.base import AnyHandler
from app.modalities.comparison import InputComparison
from app.modalities.served_model import ServedModel
from app.modalities.text.classifiers.forward import ClassifierForward
from app.modalities.text.classifiers.reader import ClassifierReader
from app.modalities.text.classifiers.texts import TextClassify
from app.modalities.text.classifiers.tokens import TokenClassify
from app.modalities.text.embed import TextEmbed
from app.modalities.text.items import TokenInfo
from app.modalities.text.new_tokenizers.round_trip import report_losses
from app.modalities.text.pipeline import SentencePipeline
from app.types import Classifier, ClassifierType, ModalityName, Task


@dataclass(frozen=True)
class ClassifierParts:
    """The parts of a classifier that have been proved to give what transformers gives.

    comparison: how it compares two texts.
    pipeline: how the encoder's vectors become an embedding; None where it gives no vector for each token.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    reader: ClassifierReader
    forward: ClassifierForward
    classifier: Classifier
    comparison: InputComparison
    pipeline: SentencePipeline | None


class TextClassifier(ServedModel):
    """Labels texts or their tokens, and embeds by the encoder below the head."""

    modality = ModalityName.TEXT
    model: PreTrainedModel
    max_length: int
    reads_text = True

    def __init__(self, parts: ClassifierParts) -> None:
        self.model = parts.model.eval()
        self.classifier, self.comparison = parts.classifier, parts.comparison
        self.forward_path = str(parts.forward.path)
        self.max_length = parts.reader.max_length
        self._encoder, self._tokenizer = parts.reader.encoder, parts.tokenizer
        of_tokens = parts.classifier.type is ClassifierType.TOKENS
        handler = (TokenClassify if of_tokens else TextClassify)(parts.forward, parts.reader, parts.classifier)
        tasks: dict[Task, AnyHandler] = {Task.CLASSIFY: handler}
        reason = "it is a classifier, without a masked-LM head"
        self.unsupported: Mapping[Task, str] = {Task.FILL_MASK: reason, Task.SCORE: reason}
        if parts.pipeline is not None:
            embed = TextEmbed(parts.forward, self._encoder, pipeline=parts.pipeline, max_length=self.max_length)
            tasks[Task.EMBED] = embed
            self.dimensions = embed.dimensions
        self.tasks = tasks

    def tokenize(self, text: str, add_special_tokens: bool = True) -> Iterator[TokenInfo]:
        return self._encoder.tokens(text, add_special_tokens=add_special_tokens)

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        return self._encoder.decode(ids, skip_special_tokens=skip_special_tokens)

    def report_tokenizer(self, texts: Sequence[str]) -> TokenizerReport:
        return report_losses(self._tokenizer.backend_tokenizer, texts, "base", "the tokenizer of the model")

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        self.model.to(device)  # type: ignore[arg-type]  # a decorator of transformers hides the signature
        for parameter in self.model.parameters():
            parameter.data = parameter.data.to(dtype)  # not the buffers, as in TextObjective
