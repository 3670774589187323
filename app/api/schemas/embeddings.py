"""Bodies of `POST /v1/embeddings`: OpenAI's, and what Cloze adds to them."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StrictBool

from app.api.schemas.common import MAX_COUNT, Body, Inputs, Model, Truncate, Usage
from app.types import Pooling, TruncationSide


class EmbeddingsRequest(Body):
    model: Model = None
    input: Inputs
    encoding_format: Annotated[
        Literal["float", "base64"],
        Field(description="Encoding of the vectors; base64 is little-endian float32, as OpenAI's client asks for"),
    ] = "float"
    dimensions: Annotated[int, Field(strict=True, ge=1, le=MAX_COUNT)] | None = Field(
        None, description="Keep only the first ones"
    )
    user: str | None = Field(None, max_length=1024, description="Accepted for compatibility, and not used")
    pooling: Pooling | None = Field(None, description="Pooling of the token vectors; the model's own by default")
    normalize: Annotated[StrictBool, Field(description="Scale each vector to length 1")] = True
    output: Literal["pooled", "windows"] = Field(
        "pooled",
        description="`pooled` gives one vector an input, `windows` one for each window of a sound or a video",
    )
    truncate: Truncate = False
    truncation_side: TruncationSide = TruncationSide.RIGHT


class EmbeddingOptions(Body):
    """Options of a stream of inputs, as parameters of the query."""

    model: Model = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1, le=MAX_COUNT)] | None = None
    pooling: Pooling | None = None
    normalize: bool = True
    truncate: bool = False
    truncation_side: TruncationSide = TruncationSide.RIGHT


class EmbeddingObject(BaseModel):
    object: Literal["embedding"] = "embedding"
    index: int = Field(description="Index of the input; windows of one input share it")
    embedding: list[float] | str
    window: int | None = Field(None, description="Number of the window in its input, with `output` windows")
    start: float | None = Field(None, description="Start of the window in seconds, if the input has a duration")
    end: float | None = None


class EmbeddingsResponse(BaseModel):
    object: Literal["list"] = "list"
    data: list[EmbeddingObject]
    model: str
    usage: Usage


EXAMPLES = {
    "one": {"summary": "One text", "value": {"input": "Masked models fill in what is missing."}},
    "several": {"summary": "Several texts", "value": {"input": ["The lions hunt.", "Big cats chase their prey."]}},
    "native": {
        "summary": "Pooling, normalisation and truncation",
        "value": {"input": "A long text …", "pooling": "cls", "normalize": False, "truncate": True},
    },
}
