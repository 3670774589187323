"""Fields shared by several bodies."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from app.api.media_inputs import TYPED, text_of, text_or_media, typed_media
from app.errors import AppError, EmptyInput, InvalidValue
from app.inference.remote_media import RemoteMedia
from app.inference.service import Answer
from app.types import Pooling, TruncationSide
from app.validation import JsonModel

Ids = tuple[int, ...]
Input = str | Ids | bytes | RemoteMedia

MODEL_EXAMPLE = "cloze-text"

# Limits of strings, in characters, because records keep them and messages quote them.
MAX_MODEL_ID = 256  # a name of 128, and a version or an alias
MAX_ID = 128  # of files, jobs, checkpoints and events
MAX_COUNT = 10**9  # of counts without a tighter limit
MAX_PROMPT_NAME = 100  # characters
MAX_PROMPT = 4000  # characters
MAX_TARGETS = 1000
MAX_TARGET = 256


class Body(BaseModel):
    """A request's body, or an object within it. An unknown field is an error, so that typos are not ignored.

    For a field with a default, null equals an absent field, because clients send null for unset fields.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:
        if not isinstance(data, dict) or None not in data.values():
            return data
        optional = {field.alias or name for name, field in cls.model_fields.items() if not field.is_required()}
        return {name: value for name, value in data.items() if value is not None or name not in optional}


class JsonBody(JsonModel, Body):
    """A body that is always JSON. The others are read from a query or a form too, where all values are strings."""


class Usage(BaseModel):
    """Numbers of tokens, including special tokens."""

    prompt_tokens: int = Field(description="Tokens of all inputs, including special tokens; patches for media")
    total_tokens: int = Field(description="The same number, as in OpenAI's API")


def usage(tokens: int) -> dict[str, int]:
    """Returns the fields of `Usage`."""
    return {"prompt_tokens": tokens, "total_tokens": tokens}


def _texts(value: object) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("expected a string or a list of strings")
    _check_not_empty(texts)
    return texts


def read_inputs(value: object) -> list[Input]:
    """Returns texts, token ids and files: a data URI of media is a file, and so is a typed input.

    Raises ValueError and AppError.
    """
    given: list[Any] = value if isinstance(value, list) else [value]
    kinds = set(map(type, given))  # many times as fast as a loop: there may be a million token ids
    if kinds == {int} and isinstance(value, list):
        return [_ids(given)]
    if dict in kinds:
        if not kinds <= {str, dict}:
            raise ValueError("expected strings and typed inputs; token ids cannot be mixed with them")
    elif not kinds <= {str, list} or not all(_is_ids(each) for each in given if isinstance(each, list)):
        raise ValueError("expected a string, a list of strings, a list of token ids or a list of such lists")
    _check_not_empty(given)
    return [_input(index, each, len(given)) for index, each in enumerate(given)]


def _input(index: int, value: Any, count: int) -> Input:
    try:
        return _read(value)
    except AppError as error:
        error.index = index if count > 1 else None
        raise
    except ValueError as error:
        raise ValueError(f"input {index}: {error}" if count > 1 else str(error)) from error


def _read(value: Any) -> Input:
    if isinstance(value, str):
        return text_or_media(value)
    if isinstance(value, list):
        return _ids(value)
    text = text_of(value)
    return typed_media(value) if text is None else text


def _is_ids(value: list[Any]) -> bool:
    return set(map(type, value)) <= {int}  # a bool is no id


def _ids(value: list[int]) -> Ids:
    if min(value) < 0:
        raise ValueError("token ids are not negative")
    return tuple(value)


def _check_not_empty(inputs: list[object]) -> None:
    if not inputs:
        raise EmptyInput("`input` is empty", param="input")
    empty = next((index for index, item in enumerate(inputs) if not item), None)
    if empty is not None:
        raise EmptyInput(f"`input` {empty} is empty" if len(inputs) > 1 else "`input` is empty", param="input")


_TEXT = {"type": "string"}
_IDS = {"type": "array", "items": {"type": "integer", "minimum": 0}}

Model = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=MAX_MODEL_ID,
        description="Model as `name`, `name@version` or `name:alias`; by default the server's default model",
    ),
]
Texts = Annotated[
    list[str],
    BeforeValidator(_texts),
    WithJsonSchema({"anyOf": [_TEXT, {"type": "array", "items": _TEXT}], "title": "Input"}),
]
_TYPED = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {"type": "string", "enum": list(TYPED)},
        "image_url": {"type": "object", "properties": {"url": {"type": "string"}}},
    },
}
_TEXT_OBJECT = {"type": "object", "required": ["text"], "properties": {"type": {"const": "text"}, "text": _TEXT}}
_EACH = {"anyOf": [_TEXT, _TYPED, _TEXT_OBJECT]}
INPUTS_SCHEMA: list[Any] = [_TEXT, _TYPED, {"type": "array", "items": _EACH}, _IDS, {"type": "array", "items": _IDS}]
Inputs = Annotated[list[Any], BeforeValidator(read_inputs), WithJsonSchema({"anyOf": INPUTS_SCHEMA, "title": "Input"})]
_INPUTS: TypeAdapter[list[Any]] = TypeAdapter(Inputs)


def read_line(value: Any) -> Any:
    """Returns the input of a stream's line, read as the `input` of a body that holds one. Raises InvalidValue."""
    try:
        inputs = _INPUTS.validate_python(value)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise InvalidValue(f"`input`: {message}", param="input") from error
    if len(inputs) != 1:
        raise InvalidValue(f"a line holds one input, not {len(inputs)}", param="input")
    return inputs[0]


# Each target is tokenized. A word is far shorter, and no answer has more candidates than there are words here.
# Only the first wrong one is reported: a million of them would take a minute to list.
_TARGET: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": MAX_TARGET}
Targets = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=MAX_TARGET)], ...],
    Field(max_length=MAX_TARGETS, strict=False),
    FailFast(),
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    WithJsonSchema({"anyOf": [_TARGET, {"type": "array", "items": _TARGET, "maxItems": MAX_TARGETS}]}),
]
Truncate = Annotated[
    bool, Field(description="Truncate an input that is longer than the model allows, instead of refusing it")
]

# Strings of JSON, also where a body is read strictly.
OwnTokenIds = Annotated[
    bool,
    Field(description="State that token ids in the input are of the model's own vocabulary"),
]
Side = Annotated[TruncationSide, Field(strict=False)]
ForcedDimensions = Annotated[
    Literal["force"] | None,
    Field(description="`force` allows fewer dimensions than a model was trained for"),
]
PoolingName = Annotated[Pooling, Field(strict=False)]


class ModelChoice(Body):
    """A question to a model. Options are read strictly from a body and leniently from a query, where all are strings.

    A request for a task adds `to_item`, which makes the task's item of an input, and `write`, which makes the answer.
    """

    model: Model = None

    def headers(self, answer: Answer[Any]) -> Mapping[str, str]:
        """Returns further headers of the answer to a request."""
        return {}


class TextInputs(ModelChoice):
    input: Texts = Field(description="A text, or a list of texts")

    @property
    def inputs(self) -> Sequence[Any]:
        return self.input


class MixedInputs(ModelChoice):
    input: Inputs = Field(description="A text, token ids or a media file, or a list of these")

    @property
    def inputs(self) -> Sequence[Any]:
        return self.input
