"""The words shared by every layer. A leaf: imports nothing of Cloze and no torch."""

from enum import StrEnum
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field


class ModalityName(StrEnum):
    """The built-in modalities, as they are called on the wire. Registered ones have names beside these."""

    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"


class Task(StrEnum):
    """The tasks of served models; the values appear in model objects on the wire."""

    FILL_MASK = "fill-mask"
    SCORE = "score"
    EMBED = "embeddings"
    RECONSTRUCT = "reconstruct"
    CLASSIFY = "classify"


class Pooling(StrEnum):
    """How per-token vectors become one vector."""

    MEAN = "mean"
    CLS = "cls"
    MAX = "max"


class InputType(StrEnum):
    """The purpose of a text that is embedded. Models may have a prompt for each."""

    QUERY = "query"
    DOCUMENT = "document"
    CLASSIFICATION = "classification"
    CLUSTERING = "clustering"
    SIMILARITY = "similarity"


class SimilarityFunction(StrEnum):
    """How two vectors are compared. Distances are negative, so that a higher number always means more similar.

    MAXSIM: of two lists of vectors, the sum over the first of the highest dot product with any of the second
    (Khattab & Zaharia 2020, https://arxiv.org/abs/2004.12832). MEAN_MAXSIM: its mean over the first.
    """

    COSINE = "cosine"
    DOT = "dot"
    EUCLIDEAN = "euclidean"
    MANHATTAN = "manhattan"
    MAXSIM = "maxsim"
    MEAN_MAXSIM = "meanmaxsim"


class CompareMethod(StrEnum):
    """How a model compares two inputs.

    EMBEDDING: a vector of each, compared by a `SimilarityFunction`. SPARSE: a sparse vector of each, compared by the
    dot product. MULTI_VECTOR: a vector of each token of both, compared by MaxSim. CROSS_ENCODER: both are read
    together, and a classifier with one output scores them.
    """

    EMBEDDING = "embedding"
    SPARSE = "sparse"
    MULTI_VECTOR = "multi_vector"
    CROSS_ENCODER = "cross_encoder"


class ClassifierType(StrEnum):
    """The meaning of a classifier's outputs: one label of several, any number, numbers, or labels of tokens."""

    SINGLE_LABEL = "single_label"
    MULTI_LABEL = "multi_label"
    REGRESSION = "regression"
    TOKENS = "tokens"


class Activation(StrEnum):
    """The function that converts logits to scores."""

    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"
    NONE = "none"


class Aggregation(StrEnum):
    """How labelled tokens are grouped as entities, as in the `token-classification` pipeline of transformers.

    NONE: each token by itself. SIMPLE: neighbours of one label, by their prefixes B- and I-. FIRST, AVERAGE, MAX: as
    SIMPLE, but of words, which have the label of their first token, of the mean of their scores, or of their most
    certain token.
    """

    NONE = "none"
    SIMPLE = "simple"
    FIRST = "first"
    AVERAGE = "average"
    MAX = "max"


class Classifier(BaseModel):
    """The facts about the outputs of a model that classifies. A manifest holds them as they are.

    labels: one for each logit, in order. temperature: logits are divided by it before the activation.
    ece: expected calibration error of the probabilities on held-out items; None if it was not measured.
    labelled_items: number of items that the head was fitted on; None if unknown.
    """

    model_config = ConfigDict(frozen=True)

    labels: tuple[str, ...] = Field(min_length=1, description="Labels, in the order of the model's outputs")
    type: ClassifierType = Field(
        description="`single_label` for one label per input, `multi_label` for any number, `regression` for numbers, "
        "`tokens` for one label per token"
    )
    activation: Activation = Field(description="Function that converts the model's outputs to scores")
    temperature: float = Field(1.0, gt=0, description="Number that the outputs are divided by, which calibrates them")
    ece: float | None = Field(
        None, description="Expected calibration error on held-out data; null if it was not measured"
    )
    labelled_items: int | None = Field(
        None, description="Number of labelled items that the head was trained on; null if it is unknown"
    )


# How an evaluation measures a model of text without training labels.
TextMethod = Literal["sts", "minimal_pairs", "masked_accuracy"]
TEXT_METHODS: tuple[TextMethod, ...] = get_args(TextMethod)

# How an evaluation uses a model, or what it compares the model with.
EvaluationMethod = Literal[
    "linear_probe", "knn", "kmeans", "random_encoder", "baseline", "fine_tune", "from_scratch", TextMethod
]

# What the labels of an evaluation are; auto tells by their values. With labels, an item has any number of them.
LabelKind = Literal["classes", "labels", "numbers"]
LabelType = Literal["auto", "classes", "labels", "numbers"]

# What one document of a plain text file is; auto detects it.
Documents = Literal["auto", "lines", "paragraphs", "file"]


class TruncationSide(StrEnum):
    """Which end of a too long input is cut off."""

    LEFT = "left"
    RIGHT = "right"


class Normalization(StrEnum):
    """How candidates of different numbers of tokens are compared: by their probability, or by its mean a token."""

    NONE = "none"
    LENGTH = "length"


class FillOrder(StrEnum):
    """Which mask is filled next: that of which the model is most certain, or the first."""

    CONFIDENCE = "confidence"
    LEFT_TO_RIGHT = "left-to-right"


class FillStrategy(StrEnum):
    """How all masks are filled together: each by itself, one after another, by a beam search, or by Gibbs sampling."""

    INDEPENDENT = "independent"
    GREEDY = "greedy"
    BEAM = "beam"
    GIBBS = "gibbs"


class RemoteFile(BaseModel):
    """A file of another server that a job reads, as it was when the job was created.

    address: as the user gave it. bytes: its size. etag, modified: what an HTTP or S3 server says of the version.
    revision: the commit of a dataset on the hub, or the version of an S3 object. sha256: of the content, where its
    server tells it.
    """

    model_config = ConfigDict(frozen=True)

    address: str
    filename: str
    bytes: int
    etag: str | None = None
    modified: str | None = None
    revision: str | None = None
    sha256: str | None = None

    @property
    def has_version(self) -> bool:
        """Whether another content of the same size can be told from this one."""
        return any((self.etag, self.modified, self.revision, self.sha256))
