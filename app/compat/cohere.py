"""The dialect of Cohere's embed routes, for its clients."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Body, Request, Response
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema, model_validator

from app.api.deps import InferenceDep
from app.api.inference_route import InferenceRoute
from app.api.openapi import errors
from app.api.schemas.common import INPUTS_SCHEMA, MAX_COUNT, ForcedDimensions, JsonBody, Model, read_inputs
from app.api.schemas.embedding_options import INPUT_TYPES
from app.api.wire.content_type import JSON
from app.api.wire.disconnect import HttpClient
from app.api.wire.vectors import VectorFormat, VectorType
from app.compat.fields import renaming
from app.errors import EmptyInput
from app.inference.service import Answer
from app.modalities.embedding import EmbedItem, EmbedResult
from app.types import Task, TruncationSide

_MAX_TYPES = 8  # of one answer


def _read(name: str, value: object) -> list[Any]:
    with renaming({"input": name}):
        if not isinstance(value, list):
            raise ValueError("expected a list")
        if not value:
            raise EmptyInput(f"`{name}` is empty", param=name)
        return read_inputs(value)


def _read_texts(value: object) -> list[Any]:
    if isinstance(value, list) and not all(isinstance(each, str) for each in value):
        raise ValueError("expected a list of strings")
    return _read("texts", value)


def _read_images(value: object) -> list[Any]:
    if isinstance(value, list) and not all(isinstance(each, str) and each.startswith("data:") for each in value):
        raise ValueError("expected a list of data URIs (data:image/…;base64,…)")
    return _read("images", value)


def _read_inputs(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("expected a list of objects with `content`")
    return _read("inputs", list(map(_read_content, value)))


def _read_content(value: object) -> object:
    """Returns the one part of an input."""
    parts = value.get("content") if isinstance(value, dict) and value.keys() == {"content"} else None
    if not isinstance(parts, list) or len(parts) != 1 or not isinstance(parts[0], dict):
        raise ValueError("each input should be an object whose `content` is a list of one part")
    part = parts[0]
    if part.get("type") == "text" and part.keys() == {"type", "text"} and isinstance(part["text"], str):
        return part["text"]
    if part.get("type") == "image_url":
        return part
    raise ValueError("a part should be {type: text, text} or {type: image_url, image_url}")


_EACH = WithJsonSchema({"type": "array", "items": {"anyOf": INPUTS_SCHEMA[:2]}, "maxItems": MAX_COUNT})


class CohereEmbedBody(JsonBody):
    model: Model = None
    texts: Annotated[list[Any], BeforeValidator(_read_texts), _EACH] | None = Field(None, description="Texts")
    images: Annotated[list[Any], BeforeValidator(_read_images), _EACH] | None = Field(
        None, description="Images as data URIs"
    )
    inputs: Annotated[list[Any], BeforeValidator(_read_inputs), _EACH] | None = Field(
        None, description="Objects whose `content` is a list of one part: a text or an image"
    )
    input_type: Literal["search_document", "search_query", "classification", "clustering", "image"] | None = Field(
        None, description="Purpose of the texts, which chooses the model's prompt for it, if there is one"
    )
    embedding_types: Annotated[list[VectorType], Field(min_length=1, max_length=_MAX_TYPES)] | None = Field(
        None,
        description="Types of the vectors. The steps of int8 and uint8 go from -1 to 1, so that the vectors of all"
        " requests can be compared",
    )
    output_dimension: Annotated[int, Field(ge=1, le=MAX_COUNT)] | None = Field(
        None, description="Number of leading components to keep"
    )
    truncate_dim: ForcedDimensions = None
    truncate: Literal["END", "START", "NONE"] = Field(
        "END", description="End at which a text that is too long is cut; `NONE` refuses it"
    )

    @model_validator(mode="after")
    def _check_source(self) -> "CohereEmbedBody":
        if len(self._sources()) != 1:
            raise ValueError("give one of `texts`, `images` and `inputs`")
        return self

    def _sources(self) -> list[tuple[str, list[Any]]]:
        given = {"texts": self.texts, "images": self.images, "inputs": self.inputs}
        return [(name, values) for name, values in given.items() if values is not None]

    def source(self) -> tuple[str, list[Any]]:
        """Returns the name of the field that holds the inputs, and the inputs."""
        return self._sources()[0]

    def to_item(self, given: Any) -> EmbedItem:
        return EmbedItem(
            given,
            truncate=self.truncate != "NONE",
            truncation_side=TruncationSide.LEFT if self.truncate == "START" else TruncationSide.RIGHT,
            dimensions=self.output_dimension,
            force_dimensions=self.truncate_dim is not None,
            input_type=INPUT_TYPES.get(self.input_type or ""),
        )


class CohereEmbedResponse(BaseModel):
    id: str = Field(description="Id of the request")
    response_type: Literal["embeddings_floats", "embeddings_by_type"] = Field(description="Type of `embeddings`")
    embeddings: list[list[float]] | dict[VectorType, list[Any]] = Field(
        description="The vectors, by their encoding; without `embedding_types`, `/v1/embed` returns a list"
    )
    texts: list[str] | None = Field(None, description="The texts of the request")
    meta: dict[str, Any] = Field(description="Version of the API, and the tokens that the model read")


class CohereError(BaseModel):
    """The body of an error in Cohere's dialect."""

    message: str = Field(description="Human-readable message, which names the invalid field")


router = APIRouter(route_class=InferenceRoute, tags=["Cohere"])
_EXAMPLE = {"two": {"value": {"texts": ["The lions hunt.", "It rains."], "input_type": "search_document"}}}
EmbedBody = Annotated[CohereEmbedBody, Body(openapi_examples=_EXAMPLE)]


@router.post("/v1/embed", response_model=CohereEmbedResponse, responses=errors(404))
async def embed_v1(body: EmbedBody, request: Request, inference: InferenceDep) -> Response:
    """Returns a vector for each text or image: a list or, with `embedding_types`, a list for each encoding."""
    return await _embed(body, body.embedding_types, "1", request, inference)


@router.post("/v2/embed", response_model=CohereEmbedResponse, responses=errors(404))
async def embed_v2(body: EmbedBody, request: Request, inference: InferenceDep) -> Response:
    """Returns a vector for each text or image, in a list for each encoding."""
    return await _embed(body, body.embedding_types or ["float"], "2", request, inference)


async def _embed(
    body: CohereEmbedBody,
    types: Sequence[VectorType] | None,
    version: str,
    request: Request,
    inference: InferenceDep,
) -> Response:
    name, inputs = body.source()

    def write(answer: Answer[EmbedResult]) -> bytes:
        vectors = [result.vector for result in answer.results]
        tokens = sum(result.tokens for result in answer.results)
        return orjson.dumps(
            {
                "id": request.scope["state"]["request_id"],
                "response_type": "embeddings_by_type" if types else "embeddings_floats",
                "embeddings": {kind: _encode(kind, vectors) for kind in types} if types else _encode("float", vectors),
                "texts": inputs if name == "texts" else None,
                "meta": {"api_version": {"version": version}, "billed_units": {"input_tokens": tokens}},
            }
        )

    names = {"input": name, "dimensions": "output_dimension"}
    with renaming(names):
        content = await inference.run(
            Task.EMBED, body.model, inputs, HttpClient(request), to_item=body.to_item, write=write
        )
    return Response(content, media_type=JSON)


def _encode(kind: VectorType, vectors: Sequence[NDArray[Any]]) -> list[Any]:
    """Returns the vectors, whose length is 1, as values of JSON: Cohere's clients send no ranges for int8 and uint8."""
    return list(map(VectorFormat((kind,), ranges="unit").fit(vectors).write, vectors))
