"""Bodies of text-embeddings-inference's routes. A text that is too long is cut unless `truncate` is false."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, BeforeValidator, FailFast, Field, PlainValidator, WithJsonSchema

from app.api.schemas.common import (
    INPUTS_SCHEMA,
    MAX_COUNT,
    MAX_PROMPT_NAME,
    ForcedDimensions,
    JsonBody,
    Texts,
    read_inputs,
)
from app.compat.fields import renaming
from app.compat.huggingface_body import lower
from app.errors import EmptyInput
from app.inference.compared import CompareOptions, DocumentRanking
from app.modalities.classification import ClassifyItem, TextPair
from app.modalities.embedding import EmbedItem
from app.types import TruncationSide

_NAMES = {"input": "inputs"}
_TEXT = {"type": "string"}
_PAIR = {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": 2}
_IDS = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": MAX_COUNT}}

PromptName = Annotated[
    str | None,
    Field(max_length=MAX_PROMPT_NAME, description="Name of the model's prompt that goes before each text"),
]


def _read_inputs(value: object) -> list[Any]:
    with renaming(_NAMES):
        return read_inputs(value)


Inputs = Annotated[
    list[Any],
    BeforeValidator(_read_inputs),
    WithJsonSchema({"anyOf": INPUTS_SCHEMA, "title": "Inputs"}),
    Field(description="A text, a list of token ids of the model, or a list of these"),
]


class TeiOptions(JsonBody):
    truncate: bool | None = Field(None, description="False refuses a text that is too long; it is cut by default")
    truncation_direction: Annotated[TruncationSide, BeforeValidator(lower)] = Field(
        TruncationSide.RIGHT, description="Side at which a text is cut: `Left` or `Right`, in either case"
    )

    @property
    def cuts(self) -> bool:
        return self.truncate is not False


class TeiEmbedAllBody(TeiOptions):
    inputs: Inputs
    prompt_name: PromptName = None

    def to_item(self, given: Any) -> EmbedItem:
        return EmbedItem(
            given,
            normalize=False,
            truncate=self.cuts,
            truncation_side=self.truncation_direction,
            prompt_name=self.prompt_name,
            output="tokens",
            token_ids=True,
        )


class TeiEmbedSparseBody(TeiOptions):
    inputs: Inputs
    prompt_name: PromptName = None

    def to_item(self, given: Any) -> EmbedItem:
        return EmbedItem(
            given,
            truncate=self.cuts,
            truncation_side=self.truncation_direction,
            prompt_name=self.prompt_name,
            output="sparse",
            token_ids=True,
        )


class TeiEmbedBody(TeiOptions):
    inputs: Inputs
    prompt_name: PromptName = None
    normalize: bool = Field(True, description="Scale each vector to length 1")
    dimensions: Annotated[int, Field(ge=1, le=MAX_COUNT)] | None = Field(
        None, description="Number of leading components to keep"
    )
    truncate_dim: ForcedDimensions = None

    def to_item(self, given: Any) -> EmbedItem:
        return EmbedItem(
            given,
            normalize=self.normalize,
            truncate=self.cuts,
            truncation_side=self.truncation_direction,
            dimensions=self.dimensions,
            force_dimensions=self.truncate_dim is not None,
            prompt_name=self.prompt_name,
            token_ids=True,
        )


@dataclass(frozen=True)
class PredictInputs:
    """alone: one input without a list around it, whose answer has none either."""

    given: list[str | TextPair]
    alone: bool


def _read_predict(value: object) -> PredictInputs:
    """Reads a text, a pair as a list of two texts, or a list of lists of one or two texts."""
    if isinstance(value, str) or (isinstance(value, list) and value and isinstance(value[0], str)):
        return PredictInputs([_read_sequence(value)], alone=True)
    if not isinstance(value, list):
        raise ValueError("expected a string, a list of two strings, or a list of such lists")
    if not value:
        raise EmptyInput("`inputs` is empty", param="inputs")
    return PredictInputs(list(map(_read_sequence, value)), alone=False)


def _read_sequence(value: object) -> str | TextPair:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or len(texts) not in (1, 2) or not all(isinstance(text, str) for text in texts):
        raise ValueError("expected a string, a list of two strings, or a list of such lists")
    return texts[0] if len(texts) == 1 else TextPair(*texts)


class TeiPredictBody(TeiOptions):
    inputs: Annotated[
        Any,  # PredictInputs, which the document would describe beside what a client sends
        PlainValidator(_read_predict),
        WithJsonSchema({"anyOf": [_TEXT, _PAIR, {"type": "array", "items": _PAIR}], "title": "Inputs"}),
    ] = Field(description="A text, a pair of texts as a list of two, or a list of lists of one or two texts")
    raw_scores: bool = Field(False, description="Return the outputs of the model instead of probabilities")

    def to_item(self, given: str | TextPair, top_k: int) -> ClassifyItem:
        return ClassifyItem(given, top_k=top_k, truncate=self.cuts, truncation_side=self.truncation_direction)


class TeiSentences(JsonBody):
    source_sentence: str = Field(description="The text that the others are compared with")
    sentences: Annotated[list[str], Field(min_length=1, description="The other texts"), FailFast()]


class TeiSimilarityOptions(TeiOptions):
    prompt_name: PromptName = None

    def to_item(self, given: str) -> EmbedItem:
        return EmbedItem(
            given,
            truncate=self.cuts,
            truncation_side=self.truncation_direction,
            prompt_name=self.prompt_name,
        )


class TeiSimilarityBody(JsonBody):
    inputs: TeiSentences = Field(description="The texts that are compared")
    parameters: TeiSimilarityOptions | None = Field(None, description="Options of the embeddings")


def _read_texts(value: object) -> object:
    if value == []:
        raise EmptyInput("`inputs` is empty", param="inputs")
    return value


class TeiTokenizeBody(JsonBody):
    inputs: Annotated[Texts, BeforeValidator(_read_texts)] = Field(description="A text, or a list of texts")
    add_special_tokens: bool = Field(True, description="Include the special tokens around a text")
    prompt_name: PromptName = None


def _read_ids(value: object) -> list[list[int]]:
    """Reads a list of token ids, or a list of such lists."""
    if value == []:
        raise EmptyInput("`ids` is empty", param="ids")
    if not isinstance(value, list):
        raise ValueError("expected a list of token ids, or a list of such lists")
    lists = value if isinstance(value[0], list) else [value]
    if not all(isinstance(ids, list) and set(map(type, ids)) <= {int} for ids in lists):
        raise ValueError("expected a list of token ids, or a list of such lists")
    return lists


class TeiDecodeBody(JsonBody):
    ids: Annotated[
        list[list[int]],
        PlainValidator(_read_ids),
        WithJsonSchema({"anyOf": [_IDS, {"type": "array", "items": _IDS}], "title": "Ids"}),
    ] = Field(description="A list of token ids of the model, or a list of such lists")
    skip_special_tokens: bool = Field(True, description="Leave special tokens out of the texts")


class TeiPrediction(BaseModel):
    score: float = Field(description="Probability of the label, or the output of the model with `raw_scores`")
    label: str = Field(description="Name of the label")


class TeiToken(BaseModel):
    id: int = Field(description="Id of the token in the vocabulary")
    text: str = Field(description="Text of the token")
    special: bool = Field(description="Whether the token is a special token")
    start: int | None = Field(description="Offset of the first character in the text")
    stop: int | None = Field(description="Offset behind the last character in the text")


Examples = dict[str, Any]


def _read_ranked_texts(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ValueError("expected a list of strings")
    if not value:
        raise EmptyInput("`texts` is empty", param="texts")
    return value


class TeiRanked(JsonBody):
    query: str = Field(description="Text that the others are compared with")
    texts: Annotated[
        list[str],
        BeforeValidator(_read_ranked_texts),
        WithJsonSchema({"type": "array", "items": _TEXT, "minItems": 1, "title": "Texts"}),
    ] = Field(description="Texts that are sorted by their relevance")


class TeiRerankOptions(TeiOptions):
    raw_scores: bool = Field(False, description="Return the output of a cross-encoder without its activation")
    return_text: bool = Field(False, description="Repeat each text in the answer")
    top_n: Annotated[int, Field(ge=1, le=MAX_COUNT)] | None = Field(
        None, description="Number of texts in the answer, which LiteLLM sends; all by default"
    )

    def to_options(self) -> CompareOptions:
        return CompareOptions(raw_scores=self.raw_scores, truncate=self.cuts, truncation_side=self.truncation_direction)

    def write_ranks(self, ranking: DocumentRanking, texts: Sequence[str]) -> bytes:
        """Returns a list of `TeiRank` as JSON."""
        ranks = [
            {"index": index, "score": score} | ({"text": texts[index]} if self.return_text else {})
            for index, score in ranking.documents
        ]
        return orjson.dumps(ranks)


class TeiRerankBody(TeiRerankOptions, TeiRanked):
    pass


class TeiTerm(BaseModel):
    index: int = Field(description="Id of an entry of the vocabulary")
    value: float = Field(description="Weight of the entry, above 0")


class TeiRank(BaseModel):
    index: int = Field(description="Index of the text in the request, counted from 0")
    score: float = Field(description="Relevance of the text; a higher one is more relevant")
    text: str | None = Field(None, description="The text, with `return_text`; else absent")


EXAMPLES: dict[str, Examples] = {
    "rerank": {
        "two": {"value": {"query": "Where do lions live?", "texts": ["Lions hunt in the savanna.", "Water boils."]}}
    },
    "embed": {"two": {"value": {"inputs": ["The lions hunt.", "Big cats chase their prey."]}}},
    "predict": {"one": {"value": {"inputs": "A wonderful film."}}},
    "similarity": {
        "two": {
            "value": {
                "inputs": {"source_sentence": "The lions hunt.", "sentences": ["Big cats chase prey.", "It rains."]}
            }
        }
    },
    "decode": {"one": {"value": {"ids": [2, 3, 4]}}},
}
