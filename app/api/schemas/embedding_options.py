"""The options of embeddings, with the names that other APIs have for them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from app.api.schemas.common import (
    MAX_COUNT,
    MAX_PROMPT,
    MAX_PROMPT_NAME,
    ForcedDimensions,
    ModelChoice,
    OwnTokenIds,
    PoolingName,
    Side,
    read_line,
    usage,
)
from app.api.wire.vectors import VectorFormat, VectorType
from app.errors import InvalidValue
from app.inference.quantization import Precision
from app.modalities.embedding import EmbedItem, EmbedResult
from app.types import InputType, Task, TruncationSide

_MAX_LAYER = 10_000
_MAX_DIMENSIONS = 100_000

# Cohere's, Voyage's and NVIDIA's names of purposes, and those of Jina's `task`.
INPUT_TYPES: Mapping[str, InputType] = {
    **{kind.value: kind for kind in InputType},
    "search_query": InputType.QUERY,
    "search_document": InputType.DOCUMENT,
    "passage": InputType.DOCUMENT,
    "retrieval.query": InputType.QUERY,
    "retrieval.passage": InputType.DOCUMENT,
    "text-matching": InputType.SIMILARITY,
    "separation": InputType.CLUSTERING,
}
# Cohere's and NVIDIA's names of the side at which a text is cut. NONE refuses it.
_CUTS: Mapping[str, TruncationSide | None] = {"START": TruncationSide.LEFT, "END": TruncationSide.RIGHT, "NONE": None}


def _read_purpose(value: object) -> object:
    if isinstance(value, InputType | None):
        return value
    if not isinstance(value, str) or value not in INPUT_TYPES:
        raise ValueError(f"expected one of {', '.join(INPUT_TYPES)}")
    return INPUT_TYPES[value]


def _read_cut(value: object) -> object:
    return value.upper() if isinstance(value, str) and value.upper() in _CUTS else value


Purpose = Annotated[
    InputType,
    BeforeValidator(_read_purpose),
    WithJsonSchema({"type": "string", "enum": list(INPUT_TYPES)}),
]
Dimensions = Annotated[int, Field(ge=1, le=MAX_COUNT)]
_Range = Annotated[list[float], Field(min_length=1, max_length=_MAX_DIMENSIONS)]


class EmbeddingOptions(ModelChoice):
    """The options of a request, and of a stream of inputs, where they are parameters of the query."""

    task: ClassVar[Task] = Task.EMBED
    large: ClassVar[bool] = False

    encoding_format: VectorType = Field(
        "float",
        description="Type of the vectors: base64 is little-endian float32, as OpenAI's client requests; int8, uint8,"
        " binary and ubinary are quantized as sentence-transformers does",
    )
    output_dtype: Literal["float"] | Precision | None = Field(
        None, description="Voyage's name of `encoding_format`, over which it takes precedence"
    )
    ranges: Literal["unit"] | Annotated[list[_Range], Field(min_length=2, max_length=2)] | None = Field(
        None,
        description="The smallest and the largest value of each dimension, for int8 and uint8: two lists, or `unit` for"
        " -1 and 1; by default those of the request's own vectors",
    )
    dimensions: Dimensions | None = Field(
        None, description="Number of leading components to keep, of a Matryoshka model"
    )
    output_dimension: Dimensions | None = Field(None, description="Cohere's and Voyage's name of `dimensions`")
    truncate_dim: ForcedDimensions = None
    pooling: PoolingName | None = Field(None, description="Pooling of the token vectors; the model's own by default")
    layer: Annotated[int, Field(ge=-_MAX_LAYER, le=_MAX_LAYER)] | None = Field(
        None,
        description="Layer whose hidden states are pooled: 0 for the embeddings of the tokens, negative numbers count"
        " from the last, which is the default",
    )
    normalize: Annotated[bool, Field(description="Scale each vector to length 1")] = True
    truncate: Annotated[bool | Literal["START", "END", "NONE"], BeforeValidator(_read_cut)] | None = Field(
        None,
        description="What becomes of a text that is too long: true cuts it, START and END at that side, false and NONE"
        " refuse it. By default it is embedded in windows, unless the server is set otherwise",
    )
    truncation_side: Side = TruncationSide.RIGHT
    truncate_prompt_tokens: Annotated[int, Field(ge=-1, le=MAX_COUNT)] | None = Field(
        None, description="vLLM's field: cut a text to so many tokens, or for -1 to as many as the model reads"
    )
    token_ids: OwnTokenIds = False
    prompt: Annotated[str, Field(max_length=MAX_PROMPT)] | None = Field(
        None, description="Text that goes before each text, instead of one of the model's prompts"
    )
    prompt_name: Annotated[str, Field(max_length=MAX_PROMPT_NAME)] | None = Field(
        None, description="Name of the model's prompt that goes before each text; the model's default by default"
    )
    input_type: Purpose | None = Field(
        None, description="Purpose of the texts, which chooses the model's prompt for it; no prompt if it has none"
    )
    purpose: Purpose | None = Field(None, alias="task", description="Jina's name of `input_type`")

    @model_validator(mode="after")
    def _check_combinations(self) -> "EmbeddingOptions":
        self._check_equal("dimensions", self.dimensions, self.output_dimension, "output_dimension")
        self._check_equal("input_type", self.input_type, self.purpose, "task")
        if self.truncate_prompt_tokens == 0:
            raise InvalidValue("`truncate_prompt_tokens` should be -1, or 1 or more", param="truncate_prompt_tokens")
        if self.truncate_prompt_tokens is not None and self.truncate in (False, "NONE"):
            raise InvalidValue(
                "`truncate_prompt_tokens` cuts texts, and `truncate` says that none is cut",
                param="truncate_prompt_tokens",
            )
        if isinstance(self.ranges, list):
            low, high = self.ranges
            if len(low) != len(high) or any(a > b for a, b in zip(low, high, strict=True)):
                raise InvalidValue(
                    "`ranges` should be the smallest and then the largest value of each dimension", param="ranges"
                )
        if self.ranges == "unit" and not self.normalize:
            raise InvalidValue(
                'components are between -1 and 1 where vectors have length 1: "ranges": "unit" needs `normalize`',
                param="ranges",
            )
        return self

    @staticmethod
    def _check_equal(name: str, value: object, other: object, other_name: str) -> None:
        if value is not None and other is not None and value != other:
            raise InvalidValue(f"`{name}` and `{other_name}` mean the same, and differ", param=other_name)

    @property
    def vector_format(self) -> VectorFormat:
        ranges = np.array(self.ranges, np.float32) if isinstance(self.ranges, list) else self.ranges
        return VectorFormat((self.output_dtype or self.encoding_format,), ranges=ranges)

    def to_input(self, value: Any) -> Any:
        """Returns a line's input. Raises InvalidValue."""
        return read_line(value)

    def to_item(self, given: str | tuple[int, ...] | bytes) -> EmbedItem:
        """Returns the item of a line. Raises InvalidValue for a format that lines do not have."""
        if self.vector_format.needs_calibration:
            raise InvalidValue(
                "the lines of a stream are answered one by one, and int8 and uint8 need the ranges of many vectors:"
                " send ranges=unit",
                param="ranges",
            )
        return self.build_item(given)

    def build_item(self, given: str | tuple[int, ...] | bytes, **fields: Any) -> EmbedItem:
        """Returns an item with these options. fields: what else the item has."""
        cut, tokens = self.truncate, self.truncate_prompt_tokens
        item = EmbedItem(
            input=given,
            pooling=self.pooling,
            normalize=self.normalize,
            layer=self.layer,
            truncate=cut in (True, "START", "END"),
            split=cut is None,
            truncation_side=(_CUTS[cut] if isinstance(cut, str) else None) or self.truncation_side,
            dimensions=self.dimensions or self.output_dimension,
            force_dimensions=self.truncate_dim == "force",
            prompt=self.prompt,
            prompt_name=self.prompt_name,
            input_type=self.input_type or self.purpose,
            token_ids=self.token_ids,
            **fields,
        )
        if tokens is None:
            return item
        return replace(item, split=False, truncate=True, max_tokens=tokens if tokens > 0 else None)

    def from_result(self, result: EmbedResult) -> dict[str, Any]:
        return {
            "object": "embedding",
            "embedding": self.vector_format.fit([result.vector]).write(result.vector),
            "usage": usage(result.tokens) | count_windows([result]),
        }


def count_windows(results: Any) -> dict[str, int]:
    """Returns the field of the usage for texts that were too long; none if all fit."""
    count = sum(result.parts for result in results if result.parts > 1)
    return {"windows": count} if count else {}
