"""The dialect of Hugging Face's inference API, for `huggingface_hub.InferenceClient` and its kin.

The client posts to exactly the URL it is given, so every task of a model has one:
`/models/{id}/pipeline/{task}`; `/models/{id}` picks the task itself.
"""

from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
import orjson
from fastapi import APIRouter, Body, Path, Request, Response
from pydantic import BeforeValidator, FailFast, Field

from app.api.deps import InferenceDep
from app.api.params import ModelId
from app.api.schemas.common import MAX_COUNT, MAX_PROMPT_NAME, ForcedDimensions, JsonBody, Targets, Texts
from app.api.wire.content_type import JSON
from app.api.wire.disconnect import HttpClient
from app.api.wire.fragments import fragment, vector_fragment
from app.compat.huggingface_body import HubBody, Json, Pipeline, lower, write_json
from app.compat.huggingface_classify import CLASSIFY_PIPELINES
from app.compat.huggingface_media import MEDIA_PIPELINES, PipelineRoute
from app.compat.huggingface_ranking import RANKING_PIPELINES
from app.compat.similarity import compare
from app.errors import InvalidValue, NotFound
from app.inference.client import Client
from app.inference.service import Answer, OpenModel
from app.modalities.embedding import EmbedItem, EmbedResult
from app.modalities.text.items import FillMaskItem, FillMaskResult
from app.types import ClassifierType, Pooling, Task, TruncationSide
from app.validation import validate

router = APIRouter(route_class=PipelineRoute, tags=["Hugging Face"])


class FillMaskParameters(JsonBody):
    top_k: Annotated[int, Field(strict=True, ge=1, le=MAX_COUNT)] | None = None
    targets: Targets = ()


class FillMaskBody(HubBody):
    inputs: Texts
    parameters: FillMaskParameters | None = None


class EmbedParameters(JsonBody):
    """Hugging Face's client puts them beside `inputs`, others into `parameters`."""

    normalize: bool | None = None
    truncate: bool | None = None
    truncation_direction: Annotated[TruncationSide, BeforeValidator(lower)] | None = None
    dimensions: Annotated[int, Field(strict=True, ge=1, le=MAX_COUNT)] | None = None
    truncate_dim: ForcedDimensions = None
    pooling: Pooling | Literal["none"] | None = None  # none: a vector for every token
    prompt_name: Annotated[str, Field(strict=True, max_length=MAX_PROMPT_NAME)] | None = None
    encoding_format: Literal["float"] | None = None

    def to_item(self, text: str) -> EmbedItem:
        # As Hugging Face's own servers: what is too long is cut, and vectors have length 1, unless asked otherwise.
        return EmbedItem(
            input=text,
            pooling=None if self.pooling == "none" else self.pooling,
            normalize=self.normalize is not False,
            truncate=self.truncate is not False,
            truncation_side=self.truncation_direction or TruncationSide.RIGHT,
            dimensions=self.dimensions,
            force_dimensions=self.truncate_dim is not None,
            prompt_name=self.prompt_name,
            output="tokens" if self.pooling == "none" else "pooled",
        )


class FeatureBody(HubBody, EmbedParameters):
    inputs: Texts
    parameters: EmbedParameters | None = None


class _Sentences(JsonBody):
    source_sentence: str
    sentences: Annotated[list[str], Field(min_length=1), FailFast()]


class SimilarityBody(HubBody):
    inputs: _Sentences
    parameters: EmbedParameters | None = None


EXAMPLES = {
    "fill-mask": {"value": {"inputs": "Tokyo is the capital of [MASK].", "parameters": {"top_k": 3}}},
    "feature-extraction": {"value": {"inputs": ["The lions hunt.", "Big cats chase their prey."]}},
    "sentence-similarity": {
        "value": {"inputs": {"source_sentence": "The lions hunt.", "sentences": ["Big cats chase prey.", "It rains."]}}
    },
    "text-ranking": {
        "value": {"inputs": {"query": "Where do lions live?", "texts": ["Lions hunt in the savanna.", "Water boils."]}}
    },
    "text-classification": {"value": {"inputs": "A wonderful film.", "parameters": {"top_k": 2}}},
    "token-classification": {
        "value": {"inputs": "Ada lives in Paris.", "parameters": {"aggregation_strategy": "simple"}}
    },
    "zero-shot-classification": {
        "value": {"inputs": "The lions hunt.", "parameters": {"candidate_labels": ["animals", "weather"]}}
    },
}

AnyBody = Annotated[Json, Body(openapi_examples=EXAMPLES)]


@router.post("/models/{model_id:path}/pipeline/{task}")
async def run_pipeline(
    model_id: ModelId,
    task: Annotated[str, Path(max_length=64, description="Name of the pipeline, such as `fill-mask`")],
    body: AnyBody,
    request: Request,
    inference: InferenceDep,
) -> Response:
    """Runs a pipeline: fill-mask, feature-extraction, sentence-similarity, text-ranking, or a classification.

    Texts, tokens, images and audio are classified; zero-shot-classification compares embeddings. The body of
    image-classification and audio-classification may be the file itself.
    """
    if task not in PIPELINES:
        raise NotFound(f"there is no pipeline {task!r}; there are {', '.join(PIPELINES)}")
    return await _respond(await inference.open(model_id), task, body, request)


@router.post("/models/{model_id:path}")
async def run_model(model_id: ModelId, body: AnyBody, request: Request, inference: InferenceDep) -> Response:
    """Runs the task that the inputs show, else classification or fill-mask if the model can do it.

    For other models, the task is feature-extraction.
    """
    return await run_pipeline_of(await inference.open(model_id), body, request)


async def run_pipeline_of(model: OpenModel, body: Json, request: Request) -> Response:
    """Answers with the pipeline that `run_model` describes."""
    return await _respond(model, _choose_task(model, body.get("inputs")), body, request)


def _choose_task(model: OpenModel, inputs: object) -> str:
    if isinstance(inputs, dict) and "source_sentence" in inputs:
        return "sentence-similarity"
    if isinstance(inputs, dict) and "query" in inputs:
        return "text-ranking"
    if model.classifier is not None:
        if model.classifier.type is ClassifierType.TOKENS:
            return "token-classification"
        own = f"{model.modality}-classification"
        return own if own in PIPELINES else "text-classification"
    if isinstance(inputs, dict):
        return "sentence-similarity"
    return "fill-mask" if Task.FILL_MASK in model.tasks else "feature-extraction"


async def _respond(model: OpenModel, task: str, body: Json, request: Request) -> Response:
    return Response(await PIPELINES[task](model, body, HttpClient(request)), media_type=JSON)


async def _fill_mask(model: OpenModel, raw: Json, client: Client) -> bytes:
    """One mask: candidates; several: a list of them each. Several inputs: a list of the above.

    As the pipeline of transformers does, one input in a list is answered like the input alone.
    """
    body = validate(FillMaskBody, raw)
    parameters = body.parameters or FillMaskParameters()
    # A candidate of the pipeline has one token, so words of several have no place in the answer.
    to_item = partial(FillMaskItem, top_k=parameters.top_k or 5, targets=parameters.targets, single_tokens=True)

    def write(answer: Answer[FillMaskResult]) -> bytes:
        return write_json(map(_by_mask, answer.results), alone=len(answer.results) == 1)

    names = {"top_k": "parameters.top_k"}
    return await model.run(Task.FILL_MASK, body.inputs, client, to_item=to_item, write=write, names=names)


def _by_mask(result: FillMaskResult) -> Any:
    masks = [fragment(mask.candidates) for mask in result.masks]
    return masks[0] if len(masks) == 1 else masks


async def _feature_extraction(model: OpenModel, raw: Json, client: Client) -> bytes:
    """A vector for a string, a list of vectors for a list.

    With pooling "none" as the pipeline of transformers: each input gives a list of one list of vectors.
    """
    body = validate(FeatureBody, raw)
    parameters = _merged(body)

    def write(answer: Answer[EmbedResult]) -> bytes:
        vectors = (result.vector for result in answer.results)
        if parameters.pooling == "none":
            vectors = (vector[np.newaxis] for vector in vectors)
        return write_json(map(vector_fragment, vectors), alone=isinstance(raw["inputs"], str))

    names = {"input": "inputs"}
    return await model.run(Task.EMBED, body.inputs, client, to_item=parameters.to_item, write=write, names=names)


async def _sentence_similarity(model: OpenModel, raw: Json, client: Client) -> bytes:
    """The cosine of the source sentence and each of the others."""
    body = validate(SimilarityBody, raw)
    parameters = (body.parameters or EmbedParameters()).model_copy(update={"normalize": True})
    if parameters.pooling == "none":
        raise InvalidValue("sentences are compared by pooled vectors", param="parameters.pooling")
    return await compare(
        model,
        body.inputs.source_sentence,
        body.inputs.sentences,
        client,
        to_item=parameters.to_item,
        write=lambda cosines, _: orjson.dumps(cosines),
    )


def _merged(body: FeatureBody) -> EmbedParameters:
    """Merges the options beside `inputs` with those in `parameters`; the former win."""
    fields = EmbedParameters.model_fields.keys()
    root = {name: value for name in fields if (value := getattr(body, name)) is not None}
    return (body.parameters or EmbedParameters()).model_copy(update=root)


PIPELINES: dict[str, Pipeline] = {
    "fill-mask": _fill_mask,
    "feature-extraction": _feature_extraction,
    "sentence-similarity": _sentence_similarity,
    **CLASSIFY_PIPELINES,
    **MEDIA_PIPELINES,
    **RANKING_PIPELINES,
}
