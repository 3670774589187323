"""The pipelines of Hugging Face's dialect that classify: texts, tokens, and texts by labels that the client names."""

from functools import partial
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field

from app.api.schemas.classify import MAX_LABEL, MAX_LABELS, Labels, limit_labels, read_pair
from app.api.schemas.common import MAX_COUNT, JsonBody, Texts
from app.compat.huggingface_body import HubBody, Json, Pipeline, lower, write_json
from app.errors import AppError, EmptyInput, TaskNotSupported
from app.inference.answer_size import MAX_ANSWER, check_labels
from app.inference.client import Client
from app.inference.service import Answer, OpenModel
from app.modalities.classification import (
    ClassifyItem,
    ClassifyResult,
    Entity,
    LabelledTokens,
    TextPair,
    TokenOptions,
    softmax,
)
from app.modalities.embedding import EmbedItem, EmbedResult
from app.types import Activation, Aggregation, ClassifierType, Task
from app.validation import validate

_SCALE = 20.0  # of cosines before their softmax, as losses of sentence encoders have it
_DEFAULT_TEMPLATE = "{}"
_LARGEST = MAX_ANSWER // 4  # characters of an answer, which is not counted with those of other requests


def _read_text(value: object) -> str | TextPair:
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        raise ValueError("expected a string, a pair of texts, or a list of these")
    given = {name: text for name, text in value.items() if text is not None}
    return given["text"] if given.keys() == {"text"} and isinstance(given["text"], str) else read_pair(given)


def _read_texts(value: object) -> list[str | TextPair]:
    given = value if isinstance(value, list) else [value]
    if not given:
        raise EmptyInput("`inputs` is empty", param="inputs")
    return list(map(_read_text, given))


class TextClassificationParameters(JsonBody):
    top_k: Annotated[int, Field(strict=True, ge=1, le=MAX_COUNT)] | None = None
    function_to_apply: Annotated[Activation, BeforeValidator(lower)] | None = None
    truncation: bool | None = None


class TextClassificationBody(HubBody):
    inputs: Annotated[list[Any], BeforeValidator(_read_texts)]
    parameters: TextClassificationParameters | None = None


class TokenClassificationParameters(JsonBody):
    aggregation_strategy: Annotated[Aggregation, BeforeValidator(lower)] | None = None
    ignore_labels: Labels | None = None
    stride: Annotated[int, Field(strict=True, ge=0, le=MAX_COUNT)] | None = None

    def to_item(self, text: str) -> ClassifyItem:
        """Returns an item of a text that is truncated where it is too long, as in the pipeline of transformers."""
        ignored = ("O",) if self.ignore_labels is None else self.ignore_labels
        options = TokenOptions(self.aggregation_strategy or Aggregation.NONE, ignored, self.stride)
        return ClassifyItem(text, truncate=True, tokens=options)


class TokenClassificationBody(HubBody):
    inputs: Texts
    parameters: TokenClassificationParameters | None = None


def _split_labels(value: object) -> object:
    if not isinstance(value, str):
        return limit_labels(value)
    return [label.strip() for label in value.split(",", MAX_LABELS + 1) if label.strip()]


def _check_template(template: str) -> str:
    if template.count("{}") != 1:
        raise ValueError("expected one {}, where the label goes")
    return template


class ZeroShotParameters(JsonBody):
    candidate_labels: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=MAX_LABEL)]],
        BeforeValidator(_split_labels),
        Field(min_length=1, max_length=MAX_LABELS),
    ]
    hypothesis_template: Annotated[str, Field(max_length=MAX_LABEL), AfterValidator(_check_template)] = (
        _DEFAULT_TEMPLATE
    )
    multi_label: bool = False


class ZeroShotBody(HubBody):
    inputs: Texts
    parameters: ZeroShotParameters


async def classify_texts(model: OpenModel, raw: Json, client: Client) -> bytes:
    """A list of labels for each input, best first; one input in a list of its own too, as Hugging Face's client reads.

    Without `top_k`, all labels, as far as the server's limit allows.
    """
    body = validate(TextClassificationBody, raw)
    parameters = body.parameters or TextClassificationParameters()
    _require(model, of_tokens=False)
    classifier = model.classifier
    sorts_all = classifier is not None and classifier.type is ClassifierType.REGRESSION
    top_k = model.max_labels if sorts_all or parameters.top_k is None else parameters.top_k
    to_item = partial(ClassifyItem, top_k=top_k, truncate=parameters.truncation is True)

    def write(answer: Answer[ClassifyResult]) -> bytes:
        ranked = (result.rank(parameters.function_to_apply) for result in answer.results)
        return write_json(sorted(labels, key=lambda each: -each.score)[: parameters.top_k] for labels in ranked)

    names = {"top_k": "parameters.top_k", "input": "inputs"}
    return await model.run(Task.CLASSIFY, body.inputs, client, to_item=to_item, write=write, names=names)


async def classify_tokens(model: OpenModel, raw: Json, client: Client) -> bytes:
    """A list of tokens or entities for a string, a list of such lists for a list."""
    body = validate(TokenClassificationBody, raw)
    parameters = body.parameters or TokenClassificationParameters()
    _require(model, of_tokens=True)

    def write(answer: Answer[LabelledTokens]) -> bytes:
        found = (list(map(_describe, result.entities)) for result in answer.results)
        return write_json(found, alone=isinstance(raw["inputs"], str))

    to_item, names = parameters.to_item, {"input": "inputs"}
    try:
        return await model.run(Task.CLASSIFY, body.inputs, client, to_item=to_item, write=write, names=names)
    except AppError as error:
        if error.param == "stride":
            error.param = "parameters.stride"
        raise


def _require(model: OpenModel, *, of_tokens: bool) -> None:
    """Raises TaskNotSupported for a model that labels the other things."""
    model.require(Task.CLASSIFY)
    labels_tokens = model.classifier is not None and model.classifier.type is ClassifierType.TOKENS
    if labels_tokens != of_tokens:
        other = "token-classification" if labels_tokens else "text-classification"
        raise TaskNotSupported(f"{model.id} is a model for the pipeline {other}", param="model")


def _describe(entity: Entity) -> Json:
    place = {"word": entity.word, "start": entity.start, "end": entity.end}
    if entity.index is None:
        return {"entity_group": entity.label, "score": entity.score, **place}
    return {"entity": entity.label, "score": entity.score, "index": entity.index, **place}


async def classify_by_similarity(model: OpenModel, raw: Json, client: Client) -> bytes:
    """The labels that the client names, best first, by the similarity of their embeddings to that of the text.

    Scores are a softmax of scaled cosines; with `multi_label`, each cosine itself, moved to the range from 0 to 1.
    """
    body = validate(ZeroShotBody, raw)
    labels, template = body.parameters.candidate_labels, body.parameters.hypothesis_template
    check_labels([len(labels)] * len(body.inputs), labels, largest=_LARGEST, param="parameters.candidate_labels")
    texts = [*body.inputs, *(template.replace("{}", label) for label in labels)]

    def write(answer: Answer[EmbedResult]) -> bytes:
        vectors = np.stack([result.vector for result in answer.results]).astype(np.float64)
        cosines = vectors[: len(body.inputs)] @ vectors[len(body.inputs) :].T
        ranked = (_rank(labels, row, multi_label=body.parameters.multi_label) for row in cosines)
        return write_json(ranked, alone=isinstance(raw["inputs"], str))

    try:
        return await model.run(Task.EMBED, texts, client, to_item=_embedding, write=write)
    except AppError as error:
        if error.index is not None:
            of_label = error.index >= len(body.inputs)
            error.param = "parameters.candidate_labels" if of_label else "inputs"
            error.index -= len(body.inputs) if of_label else 0
        raise


def _embedding(text: str) -> EmbedItem:
    return EmbedItem(text, normalize=True, truncate=True)


def _rank(labels: list[str], cosines: np.ndarray, *, multi_label: bool) -> list[Json]:
    scores = (1 + cosines) / 2 if multi_label else softmax(_SCALE * cosines)
    return [{"label": labels[i], "score": float(scores[i])} for i in np.argsort(-scores, kind="stable")]


CLASSIFY_PIPELINES: dict[str, Pipeline] = {
    "text-classification": classify_texts,
    "token-classification": classify_tokens,
    "zero-shot-classification": classify_by_similarity,
}
