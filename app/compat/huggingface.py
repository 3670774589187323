"""The dialect of Hugging Face's inference API, for `huggingface_hub.InferenceClient` and its kin.

The client posts to exactly the URL it is given, so every task of a model has one:
`/models/{id}/pipeline/{task}`; `/models/{id}` picks the task itself.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import orjson
from fastapi import APIRouter, Body, Path, Request, Response
from pydantic import BaseModel, BeforeValidator, FailFast, Field, ValidationError

from app.api.answer_size import check_fill_mask, check_vectors, fragment, serialize
from app.api.deps import Services, ServicesDep
from app.api.inference_route import InferenceRoute
from app.api.params import ModelId
from app.api.schemas.common import MAX_COUNT, Targets, Texts
from app.api.schemas.common import Body as StrictBody
from app.api.wire.disconnect import while_connected
from app.errors import AppError, InvalidValue, NotFound
from app.modalities.embedding import EmbedItem, EmbedResult
from app.modalities.text.items import FillMaskItem, FillMaskResult
from app.serving.engine import Engine
from app.types import Pooling, Task, TruncationSide
from app.validation import describe

router = APIRouter(route_class=InferenceRoute, tags=["Hugging Face"])

Json = dict[str, Any]
T = TypeVar("T", bound=BaseModel)


class _Body(StrictBody):
    # `options` (wait_for_model, use_cache) steers the hub's own service: accepted, and without effect here.
    options: Annotated[Json, Field(max_length=100)] | None = None


class _FillMaskParameters(StrictBody):
    top_k: Annotated[int, Field(strict=True, ge=1, le=MAX_COUNT)] | None = None
    targets: Targets = ()


class _FillMaskBody(_Body):
    inputs: Texts
    parameters: _FillMaskParameters | None = None


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class _EmbedParameters(StrictBody):
    """Hugging Face's client puts them beside `inputs`, others into `parameters`."""

    normalize: bool | None = None
    truncate: bool | None = None
    truncation_direction: Annotated[TruncationSide, BeforeValidator(_lower)] | None = None
    dimensions: Annotated[int, Field(strict=True, ge=1, le=MAX_COUNT)] | None = None
    pooling: Pooling | Literal["none"] | None = None  # none: a vector for every token
    prompt_name: None = None  # no model here has prompts, and leaving one out would change the vectors
    encoding_format: Literal["float"] | None = None


class _FeatureBody(_Body, _EmbedParameters):
    inputs: Texts
    parameters: _EmbedParameters | None = None


class _Sentences(StrictBody):
    source_sentence: str
    sentences: Annotated[list[str], Field(min_length=1), FailFast()]


class _SimilarityBody(_Body):
    inputs: _Sentences
    parameters: _EmbedParameters | None = None


EXAMPLES = {
    "fill-mask": {"value": {"inputs": "Tokyo is the capital of [MASK].", "parameters": {"top_k": 3}}},
    "feature-extraction": {"value": {"inputs": ["The lions hunt.", "Big cats chase their prey."]}},
    "sentence-similarity": {
        "value": {"inputs": {"source_sentence": "The lions hunt.", "sentences": ["Big cats chase prey.", "It rains."]}}
    },
}

AnyBody = Annotated[Json, Body(openapi_examples=EXAMPLES)]


@router.post("/models/{model_id:path}/pipeline/{task}")
async def run_pipeline(
    model_id: ModelId, task: Annotated[str, Path(max_length=64)], body: AnyBody, request: Request, services: ServicesDep
) -> Response:
    """fill-mask, feature-extraction or sentence-similarity."""
    perform = PIPELINES.get(task)
    if perform is None:
        raise NotFound(f"there is no pipeline {task!r}; there are {', '.join(PIPELINES)}")
    engine = await services.pool.get(model_id)
    return Response(await perform(engine, body, request, services), media_type="application/json")


@router.post("/models/{model_id:path}")
async def run_model(model_id: ModelId, body: AnyBody, request: Request, services: ServicesDep) -> Response:
    """The task that the inputs show, else fill-mask where the model can do it, else feature-extraction."""
    engine = await services.pool.get(model_id)
    if isinstance(body.get("inputs"), dict):
        task = "sentence-similarity"
    else:
        task = "fill-mask" if Task.FILL_MASK in engine.objective.tasks else "feature-extraction"
    return await run_pipeline(engine.entry.id, task, body, request, services)


async def _fill_mask(engine: Engine, raw: Json, request: Request, services: Services) -> bytes:
    """One mask: candidates; several: a list of them each. Several inputs: a list of the above.

    As the pipeline of transformers does, one input in a list is answered like the input alone.
    """
    body = _parse(_FillMaskBody, raw)
    services.check_inputs(len(body.inputs))
    parameters = body.parameters or _FillMaskParameters()
    top_k = parameters.top_k or 5
    services.check_top_k(top_k, "parameters.top_k")
    items = [
        FillMaskItem(text=text, top_k=top_k, targets=parameters.targets, max_masks=services.settings.max_masks)
        for text in body.inputs
    ]
    size = check_fill_mask(getattr(engine.objective, "mask_token", None), items, param="parameters.top_k")

    async def work() -> bytes:
        async with services.answers.taken(size):
            results: list[FillMaskResult] = await engine.submit(Task.FILL_MASK, items)
            return await serialize(lambda: _json(map(_by_mask, results), alone=len(results) == 1), size)

    return await while_connected(request, work())


def _by_mask(result: FillMaskResult) -> Any:
    masks = [fragment(mask.candidates) for mask in result.masks]
    return masks[0] if len(masks) == 1 else masks


async def _feature_extraction(engine: Engine, raw: Json, request: Request, services: Services) -> bytes:
    """A vector for a string, a list of vectors for a list.

    With pooling "none" as the pipeline of transformers: each input gives a list of one list of vectors.
    """
    body = _parse(_FeatureBody, raw)
    services.check_inputs(len(body.inputs))
    parameters = _merged(body)
    tokens = parameters.pooling == "none"
    longest = getattr(engine.objective, "max_length", None) if tokens else 1
    dimensions = min(filter(None, (parameters.dimensions, _width(engine))), default=1)
    size = check_vectors(body.inputs, longest, dimensions, param="inputs")
    results = await _embed(engine, body.inputs, parameters, request)
    # Cut to its first dimensions a vector is a view, which orjson does not take.
    vectors = (np.ascontiguousarray(result.vector[np.newaxis] if tokens else result.vector) for result in results)
    return await serialize(lambda: _json(vectors, alone=isinstance(raw["inputs"], str)), size)


async def _sentence_similarity(engine: Engine, raw: Json, request: Request, services: Services) -> bytes:
    """The cosine of the source sentence and each of the others."""
    body = _parse(_SimilarityBody, raw)
    texts = [body.inputs.source_sentence, *body.inputs.sentences]
    services.check_inputs(len(texts))
    parameters = (body.parameters or _EmbedParameters()).model_copy(update={"normalize": True})
    if parameters.pooling == "none":
        raise InvalidValue("sentences are compared by pooled vectors", param="parameters.pooling")
    try:
        source, *others = [result.vector for result in await _embed(engine, texts, parameters, request)]
    except AppError as error:
        if error.index is not None:
            error.param = "inputs.sentences" if error.index else "inputs.source_sentence"
            error.index = error.index - 1 if error.index else None
        raise
    return orjson.dumps([float(np.dot(source, other)) for other in others])


async def _embed(engine: Engine, texts: list[str], parameters: _EmbedParameters, request: Request) -> list[EmbedResult]:
    # As Hugging Face's own servers: what is too long is cut, and vectors have length 1, unless asked otherwise.
    pooling = None if parameters.pooling == "none" else parameters.pooling
    items = [
        EmbedItem(
            input=text,
            pooling=pooling,
            normalize=parameters.normalize is not False,
            truncate=parameters.truncate is not False,
            truncation_side=parameters.truncation_direction or TruncationSide.RIGHT,
            dimensions=parameters.dimensions,
            output="tokens" if parameters.pooling == "none" else "pooled",
        )
        for text in texts
    ]
    results: list[EmbedResult] = await while_connected(request, engine.submit(Task.EMBED, items))
    return results


def _width(engine: Engine) -> int | None:
    """Dimensions of the vectors of a model of texts; None of another, which refuses its inputs anyway."""
    return getattr(getattr(engine.objective.model, "config", None), "hidden_size", None)


def _json(answers: Iterable[object], *, alone: bool) -> bytes:
    """alone: the only one, without a list around it."""
    # Each by itself: while orjson writes one, no other thread runs.
    parts = [orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY) for answer in answers]
    return parts[0] if alone else b"[" + b",".join(parts) + b"]"


def _merged(body: _FeatureBody) -> _EmbedParameters:
    """Merges the options beside `inputs` with those in `parameters`; the former win."""
    fields = _EmbedParameters.model_fields.keys()
    root = {name: value for name in fields if (value := getattr(body, name)) is not None}
    return (body.parameters or _EmbedParameters()).model_copy(update=root)


def _parse(kind: type[T], raw: Json) -> T:
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise describe(dict(error.errors()[0])) from error


Pipeline = Callable[[Engine, Json, Request, Services], Awaitable[bytes]]

PIPELINES: dict[str, Pipeline] = {
    "fill-mask": _fill_mask,
    "feature-extraction": _feature_extraction,
    "sentence-similarity": _sentence_similarity,
}
