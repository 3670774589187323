"""Bodies of `POST /v1/similarity`."""

from functools import partial
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from app.api.schemas.common import INPUTS_SCHEMA, ModelChoice, Side, Usage, read_inputs, usage
from app.api.wire.fragments import vector_fragment
from app.errors import AppError
from app.inference.compared import ComparedInputs, ComparedSides, CompareOptions
from app.types import CompareMethod, SimilarityFunction, TruncationSide

TRUNCATE = (
    "Whether a text that is longer than the model reads is truncated, or refused. By default, it is embedded in "
    "windows if vectors of whole texts are compared, and truncated otherwise"
)
METHOD = "Method of the comparison; by default the one that the model was trained for"

MethodName = Annotated[CompareMethod, Field(strict=False)]
FunctionName = Annotated[SimilarityFunction, Field(strict=False)]


def _read_named(value: object, name: str) -> list[Any]:
    """Reads inputs as those of embeddings; errors name the field. Raises ValueError and AppError."""
    try:
        return read_inputs(value)
    except AppError as error:
        error.param, error.message = name, error.message.replace("`input`", f"`{name}`")
        raise


def _inputs(name: str) -> Any:
    """Returns the type of a field of inputs."""
    schema = {"anyOf": INPUTS_SCHEMA, "title": name.capitalize()}
    return Annotated[list[Any], BeforeValidator(partial(_read_named, name=name)), WithJsonSchema(schema)]


SourceInputs: Any = _inputs("source")
TargetInputs: Any = _inputs("targets")


class SimilarityRequest(ModelChoice):
    model_config = ConfigDict(strict=True)

    source: SourceInputs = Field(description="An input, or a list of inputs, as those of `/v1/embeddings`")
    targets: TargetInputs = Field(
        None,
        validate_default=False,
        description="Inputs that each of `source` is compared with; by default, the inputs of `source` themselves",
    )
    pairwise: Annotated[
        bool, Field(description="Compare the inputs at the same place of `source` and `targets`, instead of all pairs")
    ] = False
    method: MethodName | None = Field(None, description=METHOD)
    function: FunctionName | None = Field(
        None,
        description="Function that compares two vectors, by default the model's own, else cosine. Distances are "
        "negative: a higher number always means more similar",
    )
    truncate: bool | None = Field(None, description=TRUNCATE)
    truncation_side: Side = TruncationSide.RIGHT

    def to_sides(self) -> ComparedSides:
        return ComparedSides(self.source, self.targets, pairwise=self.pairwise)

    def to_options(self) -> CompareOptions:
        return CompareOptions(self.method, self.function, truncate=self.truncate, truncation_side=self.truncation_side)

    def write_compared(self, compared: ComparedInputs) -> bytes:
        return orjson.dumps(
            {
                "object": "similarity",
                "model": compared.model,
                "method": compared.method,
                "function": compared.function,
                "scores": vector_fragment(compared.scores),
                "usage": usage(compared.tokens),
            }
        )


class SimilarityResponse(BaseModel):
    object: Literal["similarity"] = "similarity"
    model: str
    method: CompareMethod = Field(description="Method of the comparison")
    function: SimilarityFunction | None = Field(description="Function that compared the vectors; null without vectors")
    scores: list[list[float]] | list[float] = Field(
        description="A row for each input of `source`, with a score for each of `targets`; with `pairwise`, a score "
        "for each pair"
    )
    usage: Usage


EXAMPLES = {
    "one": {
        "summary": "One text and others",
        "value": {"source": "The lions hunt.", "targets": ["Big cats chase their prey.", "Water boils at 100 °C."]},
    },
    "pairs": {
        "summary": "Pairs of texts",
        "value": {"source": ["A cat.", "A car."], "targets": ["A kitten.", "A truck."], "pairwise": True},
    },
}
