"""Every string, list, object and integer that a request may hold has an upper bound."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import BaseModel

from app.api.schemas.classify import ClassifyOptions
from app.api.schemas.embeddings import EmbeddingOptions
from app.api.schemas.fill_mask import FillMaskOptions
from app.api.schemas.reconstruct import MaskForm
from app.compat.huggingface import FeatureBody, FillMaskBody, SimilarityBody
from app.methods import METHODS
from tests.fakes.redis import redis, redis_server  # noqa: F401

Schema = dict[str, Any]

# What is bounded by the size of the body and the number of its inputs, and kept in no record: texts, media, token ids,
# and the grid of a mask. Hugging Face's bodies are `object` in the document; their models are walked below.
BY_THE_BODY = (
    "input",
    "inputs",
    "ids",
    "prompt",
    "texts",
    "images",
    "mask",
    "post /models/{model_id}",
    "post /models/{model_id}/pipeline/{task}",
    *("query", "documents", "source", "targets"),
)


def unbounded(schema: Schema, root: Schema, place: str = "") -> Iterator[str]:
    """The places of a JSON Schema that take values of any size."""
    if place.split(".")[-1] in BY_THE_BODY:
        return
    if is_unbounded(schema):
        yield place
    for name, child in children(schema, root):
        yield from unbounded(child, root, f"{place}.{name}" if name else place)


def is_unbounded(schema: Schema) -> bool:
    limits = {
        "string": {"enum", "const", "maxLength"},
        "integer": {"enum", "const", "maximum", "exclusiveMaximum"},
        "array": {"maxItems"},
        "object": {"maxProperties"},
    }
    kind = schema.get("type", "")
    if kind == "object" and schema.get("additionalProperties", "properties" not in schema) is False:
        return False
    return kind in limits and not limits[kind] & schema.keys() and schema.get("format") != "binary"


def children(schema: Schema, root: Schema) -> Iterator[tuple[str, Schema]]:
    if "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        yield "", target
    for kind in ("anyOf", "oneOf", "allOf"):
        yield from (("", each) for each in schema.get(kind, ()))
    yield from (("items", each) for each in (schema.get("items"), *schema.get("prefixItems", ())) if each)
    yield from schema.get("properties", {}).items()
    free = schema.get("additionalProperties")
    if isinstance(free, dict):
        yield "values", free
        yield "names", schema.get("propertyNames", {"type": "string"})


def test_every_parameter_and_body_is_bounded(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    found, operations = [], 0
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            operations += 1
            place = f"{method} {path}"
            for parameter in operation.get("parameters", ()):
                found += unbounded(parameter["schema"], document, f"{place}.{parameter['name']}")
            for kind, body in operation.get("requestBody", {}).get("content", {}).items():
                if kind == "application/x-ndjson":
                    continue  # a stream has no end, and a bound on each of its lines
                found += unbounded(body["schema"], document, place)
    assert operations > 50 and not found, found


MODELS: list[type[BaseModel]] = [
    FeatureBody,
    FillMaskBody,
    SimilarityBody,
    ClassifyOptions,
    EmbeddingOptions,
    FillMaskOptions,
    MaskForm,
]
MODELS += [method.hyperparameters for method in METHODS.values()]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_body_that_the_document_does_not_show_is_bounded(model: type[BaseModel]) -> None:
    schema = model.model_json_schema()
    found = list(unbounded(schema, schema, model.__name__))
    assert not found, found


def test_the_walk_finds_what_is_not_bounded() -> None:
    schema = {
        "type": "object",
        "properties": {
            "text": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "list": {"type": "array", "items": {"type": "integer"}},
            "free": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 5}},
            "good": {"type": "string", "maxLength": 5},
        },
        "additionalProperties": False,
    }
    assert set(unbounded(schema, schema)) == {".text", ".list", ".list.items", ".free", ".free.names"}


LONG = "c" * 1_000_000


@pytest.mark.parametrize(
    "changes",
    [
        {"hyperparameters": {"text_column": LONG}},
        {"hyperparameters": {"teacher": LONG}},
        {"hyperparameters": {"learning_rate": "0." + "0" * 1_000_000 + "1"}},
        {"hyperparameters": {LONG: None}},
        {"method": {"type": LONG}},
        {"method": {"type": "mlm", LONG: None}},
        {"method": {"type": "mlm", "mlm": {LONG: 1}}},
        {"model": LONG},
        {"name": LONG},
        {"suffix": LONG},
        {"metadata": {LONG: "x"}},
        {"metadata": {"x": LONG}},
        {"validation_file": LONG},
        {"webhook": {"url": f"https://example.org/{LONG}", "secret": "whsec_" + "QUJD" * 8}},
        {"webhook": {"url": "https://example.org/", "secret": "whsec_" + "QUJD" * 250_000}},
        {LONG: None},
    ],
    ids=lambda changes: ".".join(name[:20] for name in changes),
)
def test_no_job_record_holds_megabytes(jobs_client: TestClient, changes: dict[str, Any]) -> None:
    file = jobs_client.post("/v1/files", files={"file": ("a.txt", b"The lions hunt.\n\nThe deer run.\n")}).json()["id"]
    answer = jobs_client.post("/v1/pretraining/jobs", json={"model": "bert-tiny", "training_file": file, **changes})
    assert answer.status_code == 422
    assert len(answer.content) < 10_000
    assert jobs_client.get("/v1/pretraining/jobs").json()["data"] == []


def test_the_largest_job_is_accepted(jobs_client: TestClient) -> None:
    """1,000 files with weights and full metadata are within the bound of a record."""
    upload = {"file": ("a.txt", b"The lions hunt.\n\nThe deer run.\n")}
    file = jobs_client.post("/v1/files", files=upload).json()["id"]
    body = {
        "model": "bert-tiny",
        "training_files": [{"id": file, "weight": 1.25}],
        "metadata": {f"{i:064}": "ü" * 512 for i in range(16)},
    }
    assert jobs_client.post("/v1/pretraining/jobs", json=body).status_code == 200


@pytest.mark.parametrize("path", ["/v1/models/{}", "/v1/files/{}", "/v1/pretraining/jobs/{}", "/v1/files?after={}"])
def test_ids_that_are_too_long(jobs_client: TestClient, path: str) -> None:
    answer = jobs_client.get(path.format("a" * 10_000))
    assert answer.status_code == 422 and len(answer.content) < 1000
