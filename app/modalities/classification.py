"""Items and results of classification, in every modality. No torch: the API builds and reads these."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidValue
from app.modalities.patch.decoded_media import DecodedMedia
from app.types import Activation, Aggregation, Classifier, ClassifierType, TruncationSide

_ASSIGNED = 0.5  # probability from which a label of several is assigned


@dataclass(frozen=True)
class TextPair:
    """Two texts that are classified together, such as a premise and a hypothesis, or a question and a passage."""

    text: str
    text_pair: str


@dataclass(frozen=True)
class TokenOptions:
    """Options of models that label tokens.

    ignore_labels: labels that are left out of the answer. stride: a text that is longer than the model is read in
    windows, which have so many tokens in common; None: it is truncated or refused.
    """

    aggregation: Aggregation = Aggregation.NONE
    ignore_labels: tuple[str, ...] = ("O",)
    stride: int | None = None


@dataclass(frozen=True)
class ClassifyItem:
    """input: a text, its token ids with or without the special tokens around them, or a media file, decoded or not.

    top_k: number of labels in the answer. truncate, truncation_side: of a text that is longer than the model reads.
    token_ids: whether the client says that token ids are of the model's own vocabulary.
    tokens: options of models that label tokens; None for their defaults.
    """

    input: str | tuple[int, ...] | bytes | DecodedMedia | TextPair
    top_k: int = 5
    truncate: bool = False
    truncation_side: TruncationSide = TruncationSide.RIGHT
    token_ids: bool = False
    tokens: TokenOptions | None = None


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
        order = np.arange(len(scores)) if self._is_regression else np.lexsort((-self.logits, -scores))
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


@dataclass(frozen=True)
class Entity:
    """A labelled token, or neighbours that are one entity.

    score: probability of the label; the mean of those of an entity's tokens or words. word: the tokens as the
    tokenizer writes them. start, end: characters of the text. index: of a token among those that the model read; None
    for an entity.
    """

    label: str
    score: float
    word: str
    start: int
    end: int
    index: int | None


@dataclass(frozen=True)
class LabelledTokens:
    """The answer of a model that labels tokens. entities: in the order of the text. tokens: that the model read."""

    entities: Sequence[Entity]
    classifier: Classifier
    tokens: int


def softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Converts logits [..., L] to probabilities, in float64."""
    powers = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def score_labels(
    classifier: Classifier, logits: NDArray[np.float64], activation: Activation | None = None
) -> NDArray[np.float64]:
    """Converts logits [..., L] to scores. activation: replaces that of the classifier."""
    scaled = logits.astype(np.float64) / classifier.temperature
    match activation or classifier.activation:
        case Activation.SOFTMAX:
            return softmax(scaled)
        case Activation.SIGMOID:
            return np.exp(-np.logaddexp(0, -scaled))
        case Activation.NONE:
            return scaled


def refuse_token_options(item: ClassifyItem) -> None:
    """Raises InvalidValue for options of models that label tokens."""
    if item.tokens is not None:
        raise InvalidValue(
            "this model labels whole inputs; only models that label tokens group them", param="aggregation_strategy"
        )
