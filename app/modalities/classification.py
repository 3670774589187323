"""Items and results of classification, in every modality. No torch: the API builds and reads these."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.modalities.patch.decoded_media import DecodedMedia
from app.types import Activation, Classifier, ClassifierType, TruncationSide

_ASSIGNED = 0.5  # probability from which a label of several is assigned


@dataclass(frozen=True)
class ClassifyItem:
    """input: a text, its token ids with or without the special tokens around them, or a media file, decoded or not.

    top_k: number of labels in the answer. truncate, truncation_side: of a text that is longer than the model reads.
    token_ids: whether the client says that token ids are of the model's own vocabulary.
    """

    input: str | tuple[int, ...] | bytes | DecodedMedia
    top_k: int = 5
    truncate: bool = False
    truncation_side: TruncationSide = TruncationSide.RIGHT
    token_ids: bool = False


@dataclass(frozen=True)
class LabelScore:
    """score: a probability; for a regression, the number itself."""

    label: str
    score: float


@dataclass(frozen=True)
class ClassifyResult:
    """logits [L]: one for each label of `classifier`. top_k: as the item asked. tokens: that the model read."""

    logits: NDArray[np.float64]
    classifier: Classifier
    top_k: int
    tokens: int

    def rank(self, activation: Activation | None = None) -> list[LabelScore]:
        """Returns the `top_k` labels with the highest scores, best first; for a regression, in the model's order.

        activation: replaces that of the classifier.
        """
        scores = score_labels(self.classifier, self.logits, activation)
        order = np.arange(len(scores)) if self._is_regression else np.argsort(-scores, kind="stable")
        return [LabelScore(self.classifier.labels[i], float(scores[i])) for i in order[: self.top_k]]

    def best_label(self) -> str | None:
        """Returns the label with the highest score; None for a regression."""
        return None if self._is_regression else self.classifier.labels[int(np.argmax(self.logits))]

    def assigned_labels(self) -> list[str]:
        """Returns the labels with a probability of at least 0.5, in the model's order."""
        scores = score_labels(self.classifier, self.logits)
        return [self.classifier.labels[i] for i in np.flatnonzero(scores >= _ASSIGNED)]

    @property
    def _is_regression(self) -> bool:
        return self.classifier.type is ClassifierType.REGRESSION


def score_labels(
    classifier: Classifier, logits: NDArray[np.float64], activation: Activation | None = None
) -> NDArray[np.float64]:
    """Converts logits [..., L] to scores. activation: replaces that of the classifier."""
    scaled = logits.astype(np.float64) / classifier.temperature
    match activation or classifier.activation:
        case Activation.SOFTMAX:
            powers = np.exp(scaled - scaled.max(-1, keepdims=True))
            return np.asarray(powers / powers.sum(-1, keepdims=True))
        case Activation.SIGMOID:
            return np.exp(-np.logaddexp(0, -scaled))
        case Activation.NONE:
            return scaled
