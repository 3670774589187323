"""Classification of whole texts, and of pairs of texts."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from app.errors import AppError
from app.modalities.base import OneStepHandler, Prepared
from app.modalities.classification import ClassifyItem, ClassifyResult, refuse_token_options
from app.modalities.text.batches import TextBatch
from app.modalities.text.classifiers.forward import ClassifierForward
from app.modalities.text.classifiers.reader import ClassifierReader
from app.modalities.text.classifiers.template import TypedIds
from app.modalities.text.encoding import QUICK_CHARACTERS
from app.types import Classifier

Floats = NDArray[np.float32]


class TextClassify(OneStepHandler[ClassifyItem, TypedIds, ClassifyItem, TextBatch, Floats, ClassifyResult]):
    """Classifies texts by a head of transformers: ClassifyItem → ClassifyResult."""

    def __init__(self, forward: ClassifierForward, reader: ClassifierReader, classifier: Classifier) -> None:
        self.forward = forward
        self._reader = reader
        self._classifier = classifier

    @property
    def pads(self) -> bool:
        return self.forward.pads

    def example(self) -> ClassifyItem:
        return ClassifyItem(self._reader.encoder.example)

    def is_quick(self, item: ClassifyItem) -> bool:
        return isinstance(item.input, str) and len(item.input) <= QUICK_CHARACTERS

    def prepare(self, item: ClassifyItem) -> Prepared[TypedIds, ClassifyItem]:
        refuse_token_options(item)
        row = self._reader.read(item)
        return Prepared(row, len(row.ids), item)

    def collate(self, inputs: Sequence[TypedIds]) -> TextBatch:
        return self.forward.collate_rows(inputs)

    @torch.inference_mode()
    def run(self, batch: TextBatch) -> list[Floats]:
        return list(self.forward.text_logits(batch).float().cpu().numpy())

    def finish(self, prepared: Prepared[TypedIds, ClassifyItem], raw: Floats) -> ClassifyResult:
        if not np.isfinite(raw).all():
            raise AppError("the model computed numbers that are not finite for this input")
        return ClassifyResult(
            raw.astype(np.float64), self._classifier, prepared.context.top_k, tokens=len(prepared.inputs.ids)
        )
