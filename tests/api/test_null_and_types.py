"""null is as good as an absent field, and no message names a type of Python."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import BaseModel, ValidationError

from app.api.errors import describe
from app.api.schemas.classify import ClassifyRequest
from app.api.schemas.common import Body
from app.api.schemas.embeddings import EmbeddingsRequest
from app.api.schemas.evaluations import EvaluationRequest
from app.api.schemas.fill_mask import FillMaskRequest
from app.api.schemas.imports import ImportRequest
from app.api.schemas.job_control import CancelRequest, ExtendRequest, PriorityRequest, PublishRequest, RetryRequest
from app.api.schemas.job_watch import WebhookRequest
from app.api.schemas.jobs import JobRequest, WeightedFile
from app.api.schemas.masked_text import MaskBody
from app.api.schemas.models import AliasRequest
from app.api.schemas.reconstruct import ReconstructRequest
from app.api.schemas.repeated_evaluations import RepeatedEvaluation
from app.api.schemas.rerank import RerankRequest
from app.api.schemas.score import MinimalPair, ScoreRequest
from app.api.schemas.similarity import SimilarityRequest
from app.api.schemas.sweeps import Parameter, SweepRequest
from app.api.schemas.tokenize import TokenizeRequest, TokenObject
from app.compat.cohere import CohereEmbedBody
from app.compat.cohere_rerank import CohereRerankBody
from app.compat.huggingface import EmbedParameters, FeatureBody, FillMaskBody, FillMaskParameters, SimilarityBody
from app.compat.huggingface_classify import (
    TextClassificationBody,
    TextClassificationParameters,
    TokenClassificationBody,
    TokenClassificationParameters,
    ZeroShotBody,
    ZeroShotParameters,
)
from app.compat.huggingface_media import MediaClassificationBody, MediaClassificationParameters
from app.compat.huggingface_ranking import TextRankingBody
from app.compat.ollama import OllamaEmbedBody, OllamaEmbeddingsBody
from app.compat.tei_bodies import (
    TeiDecodeBody,
    TeiEmbedAllBody,
    TeiEmbedBody,
    TeiEmbedSparseBody,
    TeiPredictBody,
    TeiRanked,
    TeiRerankBody,
    TeiRerankOptions,
    TeiSentences,
    TeiSimilarityBody,
    TeiSimilarityOptions,
    TeiTokenizeBody,
)
from app.errors import AppError
from app.methods import METHODS

PICTURE = "data:image/png;base64,iVBORw0KGgo="
SECRET = "whsec_" + "QUJD" * 8
BODIES: list[tuple[type[BaseModel], dict[str, Any]]] = [
    (EmbeddingsRequest, {"input": "a"}),
    (ClassifyRequest, {"input": "a"}),
    (FillMaskRequest, {"input": "a"}),
    (MaskBody, {"ratio": 0.5}),
    (ScoreRequest, {"input": "a"}),
    (MinimalPair, {"good": "a", "bad": "b"}),
    (SimilarityRequest, {"source": "a"}),
    (RerankRequest, {"query": "a", "documents": ["a"]}),
    (TokenizeRequest, {"input": "a"}),
    (ReconstructRequest, {"input": PICTURE}),
    (JobRequest, {"model": "a", "training_file": "a"}),
    (ImportRequest, {"source": "a/b"}),
    (EvaluationRequest, {"models": ["a"], "file": "a"}),
    (Parameter, {"values": [1]}),
    (SweepRequest, {"job": {"model": "a", "training_file": "a"}, "parameters": {"seed": [1, 2]}}),
    (WeightedFile, {"id": "a"}),
    (RepeatedEvaluation, {"id": "a"}),
    (WebhookRequest, {"url": "https://example.org/", "secret": SECRET}),
    (CancelRequest, {}),
    (RetryRequest, {}),
    (ExtendRequest, {"epochs": 2}),
    (PriorityRequest, {"priority": 2}),
    (PublishRequest, {}),
    (AliasRequest, {"version": 1}),
    (FillMaskBody, {"inputs": "a"}),
    (FillMaskParameters, {}),
    (FeatureBody, {"inputs": "a"}),
    (EmbedParameters, {}),
    (TextClassificationBody, {"inputs": "a"}),
    (TextClassificationParameters, {}),
    (TokenClassificationBody, {"inputs": "a"}),
    (MediaClassificationBody, {"inputs": PICTURE}),
    (MediaClassificationParameters, {}),
    (TokenClassificationParameters, {}),
    (ZeroShotBody, {"inputs": "a", "parameters": {"candidate_labels": ["a"]}}),
    (ZeroShotParameters, {"candidate_labels": ["a"]}),
    (SimilarityBody, {"inputs": {"source_sentence": "a", "sentences": ["a"]}}),
    (CohereEmbedBody, {"texts": ["a"]}),
    (CohereRerankBody, {"query": "a", "documents": ["b"]}),
    (OllamaEmbedBody, {"input": "a"}),
    (OllamaEmbeddingsBody, {"prompt": "a"}),
    (TeiEmbedBody, {"inputs": "a"}),
    (TeiEmbedAllBody, {"inputs": "a"}),
    (TeiEmbedSparseBody, {"inputs": "a"}),
    (TeiPredictBody, {"inputs": "a"}),
    (TeiRanked, {"query": "a", "texts": ["a"]}),
    (TeiRerankBody, {"query": "a", "texts": ["a"]}),
    (TeiRerankOptions, {}),
    (TextRankingBody, {"inputs": {"query": "a", "texts": ["a"]}}),
    (TeiSentences, {"source_sentence": "a", "sentences": ["a"]}),
    (TeiSimilarityBody, {"inputs": {"source_sentence": "a", "sentences": ["a"]}}),
    (TeiSimilarityOptions, {}),
    (TeiTokenizeBody, {"inputs": "a"}),
    (TeiDecodeBody, {"ids": [1]}),
    *((method.hyperparameters, {}) for method in METHODS.values()),
]
WRONG: list[Any] = [None, [], {}, "text", 5, 1.5, True, [[None]], [{}], {"a": None}, [5], ["a", None]]
# Words of Python that no client knows. `str` and its like are looked for as words of their own.
PYTHON = re.compile(r"\b(None|NoneType|tuple|dict|dictionary|str|int|set|instance|class|object at)\b|<")


def every_request(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for each in kind.__subclasses__():
        yield each
        yield from every_request(each)


def test_every_body_is_tried() -> None:
    others = {
        "FillMaskOptions",
        "EmbeddingOptions",
        "ClassifyOptions",
        "MaskFields",
        "MaskForm",
        "HubBody",
        "_Sentences",
    }
    others |= {
        "OllamaOptions",
        "TeiOptions",
        "JsonBody",
        "ModelChoice",
        "LongTextOptions",
        "TextInputs",
        "MixedInputs",
    }  # parts of the others
    tried = {kind.__name__ for kind, _ in BODIES if issubclass(kind, Body)}
    assert {kind.__name__ for kind in every_request(Body)} == tried | others


@pytest.mark.parametrize(("kind", "valid"), BODIES, ids=lambda each: getattr(each, "__name__", ""))
def test_null_is_as_good_as_absent(kind: type[BaseModel], valid: dict[str, Any]) -> None:
    absent = kind.model_validate(valid)
    for name, field in kind.model_fields.items():
        if not field.is_required() and name not in valid:
            found = kind.model_validate({field.alias or name: None, **valid})
            assert found == absent and found.model_fields_set == absent.model_fields_set


def errors_of(kind: type[BaseModel], body: dict[str, Any]) -> list[AppError]:
    try:
        kind.model_validate(body)
    except ValidationError as error:
        return [describe(dict(each)) for each in error.errors()]
    except AppError as error:
        return [error]
    return []


@pytest.mark.parametrize(("kind", "valid"), BODIES, ids=lambda each: getattr(each, "__name__", ""))
def test_messages_name_types_of_json(kind: type[BaseModel], valid: dict[str, Any]) -> None:
    for name in (*(field.alias or name for name, field in kind.model_fields.items()), "unknown"):
        for value in WRONG:
            for error in errors_of(kind, {**valid, name: value}):
                assert not PYTHON.search(error.message), error.message
                assert re.fullmatch(r"[a-z_0-9.]*", error.param or ""), error.param


def number_fields(kind: type[BaseModel]) -> Iterator[str]:
    """Yields the fields that take numbers and neither strings nor booleans, by the JSON schema."""
    for name, field in kind.model_json_schema()["properties"].items():
        found = {each.get("type") for each in (field, *field.get("anyOf", []))} - {None, "null"}
        if found and found <= {"integer", "number"}:
            yield name


@pytest.mark.parametrize(("kind", "valid"), BODIES, ids=lambda each: getattr(each, "__name__", ""))
def test_strings_and_booleans_are_no_numbers(kind: type[BaseModel], valid: dict[str, Any]) -> None:
    for name in number_fields(kind):
        for value, shown in (("1", "'1'"), (True, "true")):
            messages = [error.message for error in errors_of(kind, {**valid, name: value})]
            assert any(text.endswith(f", not {shown}") and f"`{name}`" in text for text in messages), (name, messages)


@pytest.mark.parametrize(
    ("kind", "body", "param"),
    [
        (EvaluationRequest, {"models": ["a"], "file": "a", "labels_per_class": [5, "5"]}, "labels_per_class.1"),
        (EvaluationRequest, {"models": ["a"], "file": "a", "labels_per_class": [True]}, "labels_per_class.0"),
        (JobRequest, {"model": "a", "training_file": "a", "resources": {"memory_gb": "4"}}, "resources.memory_gb"),
        (JobRequest, {"model": "a", "training_files": [{"id": "a", "weight": True}]}, "training_files.0.weight"),
        (CancelRequest, {"publish": "yes"}, "publish"),
        (CancelRequest, {"publish": 1}, "publish"),
        (FeatureBody, {"inputs": "a", "normalize": "yes"}, "normalize"),
        (METHODS["mlm"].hyperparameters, {"compile": "true"}, "compile"),
        (METHODS["mlm"].hyperparameters, {"batch_size": "8"}, "batch_size"),
        (METHODS["mae"].hyperparameters, {"channels": True}, "channels"),
    ],
)
def test_items_and_booleans_keep_their_types(kind: type[BaseModel], body: dict[str, Any], param: str) -> None:
    assert param in [error.param for error in errors_of(kind, body)]


def test_a_whole_number_may_have_a_point() -> None:
    hyperparameters = METHODS["mlm"].hyperparameters.model_validate({"max_steps": 20.0, "epochs": 2, "batch_size": 4.0})
    assert hyperparameters.model_dump(exclude_unset=True) == {"max_steps": 20, "epochs": 2.0, "batch_tokens": 512}


def test_unknown_fields_are_refused_also_as_null() -> None:
    for kind, valid in BODIES:
        with pytest.raises(ValidationError, match="unknown"):
            kind.model_validate({**valid, "unknown": None})


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", {"input": "a", "encoding_format": None, "truncate": None, "normalize": None, "user": None}),
        ("/v1/fill-mask", {"input": "a [MASK]", "targets": None, "top_k": None, "num_sequences": None, "model": None}),
        ("/v1/score", {"input": "a", "method": None, "top_k": None, "truncation_side": None}),
        ("/v1/tokenize", {"input": "a", "add_special_tokens": None}),
        (
            "/models/full/pipeline/fill-mask",
            {"inputs": "a [MASK]", "parameters": {"top_k": None, "targets": None}, "options": None},
        ),
        (
            "/models/full/pipeline/feature-extraction",
            {"inputs": "a", "normalize": None, "parameters": {"truncation_direction": None, "encoding_format": None}},
        ),
    ],
)
def test_null_over_http(client: TestClient, path: str, body: dict[str, Any]) -> None:
    assert client.post(path, json=body).status_code == 200, path


def test_a_target_alone_is_one_target() -> None:
    assert FillMaskRequest(input="a", targets="cat").targets == ("cat",)
    assert FillMaskParameters(targets="cat").targets == ("cat",)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("seed", "7", "`seed` should be a valid integer, not '7'"),
        ("mask_ratio", "0.5", "`mask_ratio` should be a valid number, not '0.5'"),
        ("boxes", "[[0, 0, 4, 4]]", "`boxes` should be a valid list, not '[[0, 0, 4, 4]]'"),
        ("ranges", "[[0, 1]]", "`ranges` should be a valid list, not '[[0, 1]]'"),
        ("mask", "[[0, 1]]", "`mask` should be a valid list, not '[[0, 1]]'"),
        ("boxes", [["0", 0, 4, 4]], "`boxes.0.0` should be a valid number, not '0'"),
    ],
)
def test_a_json_body_is_not_read_as_a_form(client: TestClient, field: str, value: Any, says: str) -> None:
    answer = client.post("/v1/reconstruct", json={"input": PICTURE, field: value})
    assert (answer.status_code, answer.json()["error"]["message"]) == (422, says)


def test_fields_of_a_form_hold_json(client: TestClient) -> None:
    file = {"file": ("a.png", b"x")}
    for field, says in (("seed", "an integer"), ("boxes", "a list"), ("mask_ratio", "a number")):
        answer = client.post("/v1/reconstruct", data={field: "x"}, files=file)
        assert answer.status_code == 422 and says in answer.json()["error"]["message"]


def test_tokens_have_an_end_beside_the_older_stop() -> None:
    assert {"end", "stop"} <= set(TokenObject.model_fields)
