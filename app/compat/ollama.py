"""The part of Ollama's API that embeds and lists models, for its clients."""

import time
from datetime import UTC, datetime
from itertools import groupby
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Body, Request, Response
from pydantic import BaseModel, BeforeValidator, Field

from app import __version__
from app.api.deps import InferenceDep, ServicesDep
from app.api.inference_route import InferenceRoute
from app.api.openapi import errors
from app.api.schemas.common import MAX_COUNT, ForcedDimensions, JsonBody, Model, Texts
from app.api.wire.content_type import JSON
from app.api.wire.disconnect import HttpClient
from app.api.wire.fragments import vector_fragment
from app.compat.fields import renaming
from app.errors import EmptyInput
from app.inference.service import Answer
from app.modalities.embedding import EmbedItem, EmbedResult
from app.store.store import ModelEntry
from app.types import Task

_MAX_DURATION = 64  # characters, such as `5m`


class OllamaOptions(JsonBody):
    """The fields of both routes."""

    model: Model = None
    options: Annotated[dict[Annotated[str, Field(max_length=100)], Any], Field(max_length=100)] | None = Field(
        None, description="Accepted; it has no effect"
    )
    keep_alive: Annotated[str, Field(max_length=_MAX_DURATION)] | Annotated[float, Field(le=MAX_COUNT)] | None = Field(
        None, description="Accepted; the server decides which models stay in memory"
    )


class OllamaEmbedBody(OllamaOptions):
    input: Texts = Field(description="A text, or a list of texts")
    truncate: bool = Field(True, description="Cut a text that is too long instead of refusing it")
    dimensions: Annotated[int, Field(ge=1, le=MAX_COUNT)] | None = Field(
        None, description="Number of leading components to keep"
    )
    truncate_dim: ForcedDimensions = None

    def to_item(self, given: str) -> EmbedItem:
        forced = self.truncate_dim is not None
        return EmbedItem(given, truncate=self.truncate, dimensions=self.dimensions, force_dimensions=forced)


def _read_prompt(value: object) -> object:
    if value == "":
        raise EmptyInput("`prompt` is empty", param="prompt")
    return value


class OllamaEmbeddingsBody(OllamaOptions):
    prompt: Annotated[str, BeforeValidator(_read_prompt)] = Field(description="The text")

    def to_item(self, given: str) -> EmbedItem:
        return EmbedItem(given, truncate=True)


class OllamaEmbedResponse(BaseModel):
    model: str
    embeddings: list[list[float]] = Field(description="A vector for each text")
    total_duration: int = Field(description="Nanoseconds from the request to the answer")
    load_duration: int = Field(description="Nanoseconds until the model was in memory")
    prompt_eval_count: int = Field(description="Tokens that the model read")


class OllamaEmbeddingsResponse(BaseModel):
    embedding: list[float] = Field(description="The vector of the text")


class OllamaModel(BaseModel):
    name: str = Field(description="Name of the model")
    model: str = Field(description="Name of the model")
    modified_at: str = Field(description="Time of the publication, in ISO 8601")
    size: int = Field(description="Size of the files in bytes")
    digest: str = Field(description="Model as name@version")
    details: dict[str, str] = Field(description="Format of the files, and the architecture")


class OllamaModels(BaseModel):
    models: list[OllamaModel] = Field(description="The models of the store")


class OllamaError(BaseModel):
    """The body of an error in Ollama's dialect."""

    error: str = Field(description="Human-readable message, which names the invalid field")


router = APIRouter(route_class=InferenceRoute, tags=["Ollama"])
_EMBED = {"two": {"value": {"input": ["The lions hunt.", "It rains."]}}}
_EMBEDDINGS = {"one": {"value": {"prompt": "The lions hunt."}}}


@router.post("/api/embed", response_model=OllamaEmbedResponse, responses=errors(404))
async def embed(
    body: Annotated[OllamaEmbedBody, Body(openapi_examples=_EMBED)], request: Request, inference: InferenceDep
) -> Response:
    """Returns a vector for each text."""
    begin = time.perf_counter_ns()

    def write(answer: Answer[EmbedResult]) -> bytes:
        return orjson.dumps(
            {
                "model": answer.model,
                "embeddings": [vector_fragment(result.vector) for result in answer.results],
                "total_duration": time.perf_counter_ns() - begin,
                "load_duration": loaded - begin,
                "prompt_eval_count": sum(result.tokens for result in answer.results),
            }
        )

    model = await inference.open(body.model)
    loaded = time.perf_counter_ns()
    content = await model.run(Task.EMBED, body.input, HttpClient(request), to_item=body.to_item, write=write)
    return Response(content, media_type=JSON)


@router.post("/api/embeddings", response_model=OllamaEmbeddingsResponse, responses=errors(404))
async def embeddings(
    body: Annotated[OllamaEmbeddingsBody, Body(openapi_examples=_EMBEDDINGS)],
    request: Request,
    inference: InferenceDep,
) -> Response:
    """Returns the vector of a text: the older route."""

    def write(answer: Answer[EmbedResult]) -> bytes:
        return orjson.dumps({"embedding": vector_fragment(answer.results[0].vector)})

    with renaming({"input": "prompt"}):
        content = await inference.run(
            Task.EMBED, body.model, [body.prompt], HttpClient(request), to_item=body.to_item, write=write
        )
    return Response(content, media_type=JSON)


@router.get("/api/tags")
def list_models(services: ServicesDep) -> OllamaModels:
    """Lists the models of the store, each with its latest version."""
    latest = [next(versions) for _, versions in groupby(services.store.list(), lambda entry: entry.name)]
    return OllamaModels(models=list(map(_describe, latest)))


def _describe(entry: ModelEntry) -> OllamaModel:
    manifest = entry.manifest
    created = datetime.fromtimestamp(manifest.created, UTC)
    return OllamaModel(
        name=entry.name,
        model=entry.name,
        modified_at=f"{created:%Y-%m-%dT%H:%M:%SZ}",
        size=sum((entry.path / name).stat().st_size for name in manifest.files),
        digest=entry.id,
        details={"format": "safetensors", "family": manifest.architecture},
    )


@router.get("/api/version")
async def version() -> dict[str, str]:
    """Returns the version of Cloze."""
    return {"version": __version__}
