"""Bodies of `POST /v1/classify`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from app.api.schemas.common import (
    INPUTS_SCHEMA,
    MAX_COUNT,
    ModelChoice,
    OwnTokenIds,
    Side,
    Truncate,
    Usage,
    read_inputs,
    read_line,
    usage,
)
from app.api.wire.fragments import fragment
from app.errors import AppError, InvalidValue
from app.inference.service import Answer
from app.modalities.classification import (
    ClassifyItem,
    ClassifyResult,
    LabelledTokens,
    TextPair,
    TokenOptions,
)
from app.types import Aggregation, ClassifierType, Task, TruncationSide

MAX_LABELS = 1000  # that a request may name
MAX_LABEL = 256  # characters

_PAIR_FIELDS = {"text", "text_pair"}


def _is_pair(value: object) -> bool:
    return isinstance(value, dict) and "type" not in value and bool(_PAIR_FIELDS & value.keys())


def read_pair(value: dict[str, Any]) -> TextPair:
    """Raises ValueError."""
    if value.keys() != _PAIR_FIELDS or not all(isinstance(text, str) for text in value.values()):
        raise ValueError('a pair of texts is {"text": "…", "text_pair": "…"}')
    return TextPair(**value)


def _read_text_or_pair(value: object, index: int) -> Any:
    try:
        return read_pair(value) if isinstance(value, dict) else read_inputs(value)[0]
    except AppError as error:
        error.index = index
        raise
    except ValueError as error:
        raise ValueError(f"input {index}: {error}") from error


def read_classify_inputs(value: object) -> list[Any]:
    """Returns inputs as those of embeddings, and pairs of texts. Raises ValueError and AppError."""
    given = value if isinstance(value, list) else [value]
    if not any(map(_is_pair, given)):
        return read_inputs(value)
    if not all(isinstance(each, str) or _is_pair(each) for each in given):
        raise ValueError("pairs of texts can be mixed with texts only")
    return [_read_text_or_pair(each, index) for index, each in enumerate(given)]


def limit_labels(value: object) -> object:
    """Checks the number of labels before each of them is looked at. Raises ValueError."""
    if isinstance(value, list) and len(value) > MAX_LABELS:
        raise ValueError(f"expected at most {MAX_LABELS} labels, not {len(value)}")
    return value


_PAIR_SCHEMA = {
    "type": "object",
    "required": ["text", "text_pair"],
    "properties": {"text": {"type": "string"}, "text_pair": {"type": "string"}},
}
ClassifyInputs = Annotated[
    list[Any],
    BeforeValidator(read_classify_inputs),
    WithJsonSchema(
        {"anyOf": [*INPUTS_SCHEMA, _PAIR_SCHEMA, {"type": "array", "items": _PAIR_SCHEMA}], "title": "Input"}
    ),
]
Labels = Annotated[
    tuple[Annotated[str, Field(max_length=MAX_LABEL)], ...],
    Field(max_length=MAX_LABELS, strict=False),
    BeforeValidator(limit_labels),
]


class ClassifyOptions(ModelChoice):
    """The options of a request, and of a stream of inputs, where they are parameters of the query."""

    task: ClassVar[Task] = Task.CLASSIFY
    large: ClassVar[bool] = False

    top_k: Annotated[int, Field(ge=1, le=MAX_COUNT, description="Number of labels per input, best first")] = 5
    truncate: Truncate = False
    truncation_side: Side = TruncationSide.RIGHT
    token_ids: OwnTokenIds = False
    aggregation_strategy: Annotated[Aggregation, Field(strict=False)] | None = Field(
        None,
        description="How a model that labels tokens groups them as entities; by default, `none`",
    )
    stride: int | None = Field(
        None,
        ge=0,
        le=MAX_COUNT,
        description="For a model that labels tokens: number of tokens that the windows of a long text have in common; "
        "by default, a text is one window",
    )

    def to_input(self, value: Any) -> Any:
        """Returns a line's input. Raises InvalidValue."""
        if not _is_pair(value):
            return read_line(value)
        try:
            return read_pair(value)
        except ValueError as error:
            raise InvalidValue(f"`input`: {error}", param="input") from error

    def to_item(self, given: str | tuple[int, ...] | bytes | TextPair) -> ClassifyItem:
        return ClassifyItem(
            given,
            self.top_k,
            truncate=self.truncate,
            truncation_side=self.truncation_side,
            tokens=self._token_options(),
            token_ids=self.token_ids,
        )

    def _token_options(self) -> TokenOptions | None:
        """Returns the options of models that label tokens; None where the client gave none."""
        if self.aggregation_strategy is None and self.stride is None:
            return None
        return TokenOptions(self.aggregation_strategy or Aggregation.NONE, stride=self.stride)

    def from_result(self, result: ClassifyResult | LabelledTokens) -> dict[str, Any]:
        return {"object": "classification", **_describe(result), "usage": usage(result.tokens)}


class ClassifyRequest(ClassifyOptions):
    model_config = ConfigDict(strict=True)

    input: ClassifyInputs = Field(
        description="A text, token ids, a media file or a pair of texts (`text`, `text_pair`), or a list of these"
    )
    ignore_labels: Labels | None = Field(
        None,
        description="For a model that labels tokens: labels that are left out of the answer; by default, `O`",
    )

    @property
    def inputs(self) -> Sequence[Any]:
        return self.input

    def _token_options(self) -> TokenOptions | None:
        options = super()._token_options()
        if self.ignore_labels is None:
            return options
        return replace(options or TokenOptions(), ignore_labels=self.ignore_labels)

    def write(self, answer: Answer[ClassifyResult | LabelledTokens]) -> bytes:
        return orjson.dumps(
            {
                "object": "list",
                "data": [
                    {"object": "classification", "index": index, **_describe(result)}
                    for index, result in enumerate(answer.results)
                ],
                "model": answer.model,
                "usage": usage(sum(result.tokens for result in answer.results)),
            }
        )


def _describe(result: ClassifyResult | LabelledTokens) -> dict[str, Any]:
    """Returns the fields of an input's answer that depend on its scores."""
    kind = result.classifier.type
    if isinstance(result, LabelledTokens):
        return {"type": kind, "label": None, "scores": [], "entities": fragment(result.entities)}
    found: dict[str, Any] = {"type": kind, "label": result.best_label(), "scores": result.rank()}
    if kind is ClassifierType.MULTI_LABEL:
        found["labels"] = result.assigned_labels()
    return found


class LabelScoreObject(BaseModel):
    label: str = Field(description="Name of the label")
    score: float = Field(description="Probability of the label; for a regression, the predicted number")


class EntityObject(BaseModel):
    label: str = Field(description="Label of the token, or of the entity without the prefixes B- and I-")
    score: float = Field(description="Probability of the label; for an entity, the mean of its tokens or words")
    word: str = Field(description="The token or the entity, as the tokenizer writes it")
    start: int = Field(description="Index of the first character in the input")
    end: int = Field(description="Index after the last character in the input")
    index: int | None = Field(description="Index of the token among those that the model read; null for an entity")


class ClassificationObject(BaseModel):
    object: Literal["classification"] = "classification"
    index: int = Field(description="Index of the input")
    type: ClassifierType = Field(
        description="`single_label` for one label per input, `multi_label` for any number, `regression` for numbers, "
        "`tokens` for one label per token"
    )
    label: str | None = Field(description="The most probable label; null for a regression, and for labels of tokens")
    labels: list[str] | None = Field(
        None, description="The labels with a probability of at least 0.5, if an input may have several"
    )
    scores: list[LabelScoreObject] = Field(
        description="The `top_k` most probable labels, best first; empty for labels of tokens"
    )
    entities: list[EntityObject] | None = Field(
        None, description="Labelled tokens, or the entities that they form, in the order of the text"
    )


class ClassifyResponse(BaseModel):
    object: Literal["list"] = "list"
    data: list[ClassificationObject]
    model: str
    usage: Usage


EXAMPLES = {
    "one": {
        "summary": "One text (a model that an evaluation has published, or an imported classifier)",
        "value": {"model": "reviews", "input": "A wonderful film."},
    },
    "several": {
        "summary": "Several texts, with the best label of each",
        "value": {"model": "reviews", "input": ["A wonderful film.", "Two hours of boredom."], "top_k": 1},
    },
    "pair": {
        "summary": "A pair of texts (an imported classifier of pairs)",
        "value": {"model": "entailment", "input": {"text": "A lion hunts.", "text_pair": "An animal hunts."}},
    },
    "entities": {
        "summary": "The entities of a text (an imported model that labels tokens)",
        "value": {"model": "names", "input": "Ada lives in Paris.", "aggregation_strategy": "simple"},
    },
}
