"""Classification of the tokens of texts."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from app.errors import AppError, InvalidValue
from app.modalities.base import BatchRow, Steps, TaskHandler
from app.modalities.classification import ClassifyItem, LabelledTokens, TokenOptions, softmax
from app.modalities.text.batches import TextBatch
from app.modalities.text.classifiers.entities import EntityFinder, TokenScores, merge_windows
from app.modalities.text.classifiers.forward import ClassifierForward
from app.modalities.text.classifiers.reader import ClassifierReader, Window
from app.modalities.text.classifiers.template import TypedIds
from app.types import Aggregation, Classifier

Floats = NDArray[np.float32]


class TokenClassify(TaskHandler[ClassifyItem, TypedIds, TextBatch, Floats, LabelledTokens]):
    """Labels tokens by a head of transformers: ClassifyItem → LabelledTokens, in one step of a row a window."""

    def __init__(self, forward: ClassifierForward, reader: ClassifierReader, classifier: Classifier) -> None:
        self.forward = forward
        self._reader = reader
        self._classifier = classifier
        self._finder = EntityFinder(reader.encoder.tokenizer, classifier.labels)

    @property
    def pads(self) -> bool:
        return self.forward.pads

    def example(self) -> ClassifyItem:
        return ClassifyItem(self._reader.encoder.example)

    def takes_one_step(self, item: ClassifyItem) -> bool:
        return item.tokens is None or item.tokens.stride is None  # a long text may have many windows

    def steps(self, item: ClassifyItem) -> Steps[TypedIds, Floats, LabelledTokens]:
        options = item.tokens or TokenOptions()
        if options.stride is not None and options.aggregation is Aggregation.NONE:
            raise InvalidValue(
                "`stride` needs an `aggregation_strategy` other than none, which merges the entities of windows",
                param="stride",
            )
        return self._one_step(item, options, self._reader.read_windows(item, options.stride))

    def _one_step(
        self, item: ClassifyItem, options: TokenOptions, windows: Sequence[Window]
    ) -> Steps[TypedIds, Floats, LabelledTokens]:
        logits = yield [BatchRow(window.row, len(window.row.ids)) for window in windows]
        assert isinstance(item.input, str)
        found = [
            self._finder.find(item.input, _scored(window, raw), options)
            for window, raw in zip(windows, logits, strict=True)
        ]
        entities = found[0] if len(found) == 1 else merge_windows(found)
        return LabelledTokens(entities, self._classifier, tokens=sum(len(window.row.ids) for window in windows))

    def collate(self, inputs: Sequence[TypedIds]) -> TextBatch:
        return self.forward.collate_rows(inputs)

    @torch.inference_mode()
    def run(self, batch: TextBatch) -> list[Floats]:
        logits = self.forward.token_logits(batch).float().cpu().numpy()
        return np.split(logits, np.cumsum(batch.lengths)[:-1])


def _scored(window: Window, logits: Floats) -> list[TokenScores]:
    """Returns the probabilities of the labels for each token that is not special. logits: [tokens, L]."""
    if not np.isfinite(logits).all():
        raise AppError("the model computed numbers that are not finite for this input")
    scores = softmax(logits)
    content = window.content
    return [
        TokenScores(id_, start, end, window.offset + place, scores[window.offset + place])
        for place, (id_, (start, end)) in enumerate(zip(content.ids, content.offsets, strict=True))
    ]
