"""The document says what the server answers."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from tests.fakes.redis import redis, redis_server  # noqa: F401

JOBS = "/v1/pretraining/jobs"
DIALECTS = {
    "/tei": "TeiError",
    **dict.fromkeys(("/v1/embed", "/v2/embed", "/v2/rerank"), "CohereError"),
    **dict.fromkeys(("/api/embed", "/api/embeddings", "/api/tags", "/api/version"), "OllamaError"),
}  # the schemas of errors
OPEN = ("/health", "/ready", "/tei/health")


def error_schema(path: str) -> dict[str, str]:
    name = DIALECTS.get("/tei" if path.startswith("/tei/") else path, "ErrorResponse")
    return {"$ref": f"#/components/schemas/{name}"}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("cloze")
    app = create_app(Settings(var_dir=folder / "var", model_store=folder / "models", device="cpu"))
    return dict(json.loads(json.dumps(app.openapi())))


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def test_every_error_is_the_envelope(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        found = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
        assert {"403", "500", "503"} <= found.keys(), (method, path)
        for answer in found.values():
            assert answer["content"]["application/json"]["schema"] == error_schema(path) and answer["description"]
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= known


def test_every_field_and_parameter_is_described(document: dict[str, Any]) -> None:
    fields = [
        (f"{schema}.{name}", field)
        for schema, content in document["components"]["schemas"].items()
        for name, field in content.get("properties", {}).items()
    ]
    parameters = [
        (f"{path} {parameter['name']}", parameter)
        for _, path, operation in operations(document)
        for parameter in operation.get("parameters", [])
    ]
    assert not [place for place, described in (*fields, *parameters) if not described.get("description")]


def test_what_each_kind_of_route_can_answer(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        expected = set()
        if "requestBody" in operation:
            expected |= {"400", "413", "422", "429"}
        if "{" in path:
            expected |= {"404", "422"}
        if operation["security"]:
            expected |= {"401"}
        assert expected <= operation["responses"].keys(), (method, path)
        assert method in ("get", "post", "put", "delete")  # HEAD and OPTIONS are not listed


@pytest.mark.parametrize(
    ("method", "path", "statuses"),
    [
        ("post", "/v1/files", {"507"}),
        ("delete", "/v1/files/{file_id}", {"409"}),
        ("get", "/v1/files/{file_id}/content", {"206", "416"}),
        ("post", JOBS, {"404", "409", "507"}),
        ("get", f"{JOBS}/{{job_id}}/events", {"204"}),
        ("get", f"{JOBS}/{{job_id}}/logs", {"206", "416"}),
        ("post", "/v1/reconstruct", {"404", "406"}),
        ("post", "/v1/fill-mask", {"404"}),
        ("delete", "/v1/models/{model_id}", {"409"}),
    ],
)
def test_statuses_of_their_own(document: dict[str, Any], method: str, path: str, statuses: set[str]) -> None:
    assert statuses <= document["paths"][path][method]["responses"].keys()


def test_keys_are_declared_where_they_are_asked_for(document: dict[str, Any]) -> None:
    assert document["components"]["securitySchemes"]["ApiKey"]["scheme"] == "bearer"
    for _, path, operation in operations(document):
        assert operation["security"] == ([] if path in OPEN else [{"ApiKey": []}, {}]), path


def test_answers_that_are_no_json(document: dict[str, Any]) -> None:
    paths = document["paths"]

    def kinds(path: str, method: str = "get") -> set[str]:
        return set(paths[path][method]["responses"]["200"]["content"])

    assert kinds("/v1/models/{model_id}/card") == {"text/markdown"}
    assert kinds(f"{JOBS}/{{job_id}}/events") == {"application/json", "text/event-stream"}
    assert kinds(f"{JOBS}/{{job_id}}/logs") == {"text/plain"}
    assert kinds("/metrics") == {"text/plain"}
    events = paths[f"{JOBS}/{{job_id}}/events"]["get"]["responses"]["200"]["content"]["text/event-stream"]
    assert all(name in events["example"] for name in ("event: message", "event: job", "event: end"))
    for path in ("/v1/classify", "/v1/embeddings", "/v1/fill-mask"):
        assert kinds(path, "post") == {"application/json", "application/x-ndjson"}
        assert "application/x-ndjson" in paths[path]["post"]["requestBody"]["content"]
        assert "truncate" in {parameter["name"] for parameter in paths[path]["post"]["parameters"]}


@pytest.mark.parametrize(
    ("method", "path", "template", "options"),
    [
        ("GET", "/health", "/health", {}),
        ("GET", "/v1/models", "/v1/models", {}),
        ("GET", "/v1/models/none", "/v1/models/{model_id}", {}),
        ("GET", f"/v1/models/{'a' * 300}", "/v1/models/{model_id}", {}),
        ("GET", "/v1/models/full/examples", "/v1/models/{model_id}/examples", {}),
        ("GET", "/v1/models/full/card", "/v1/models/{model_id}/card", {}),
        ("GET", f"{JOBS}?limit=0", JOBS, {}),
        ("GET", f"{JOBS}?after=none", JOBS, {}),
        ("GET", f"{JOBS}/none", f"{JOBS}/{{job_id}}", {}),
        ("POST", f"{JOBS}/none/cancel", f"{JOBS}/{{job_id}}/cancel", {}),
        ("POST", JOBS, JOBS, {"json": {"model": "none", "training_file": "none"}}),
        ("POST", JOBS, JOBS, {"content": b"{", "headers": {"content-type": "application/json"}}),
        ("GET", "/v1/files", "/v1/files", {}),
        ("GET", "/v1/files?after=none", "/v1/files", {}),
        ("POST", "/v1/files", "/v1/files", {"content": b"x"}),
        ("POST", "/v1/fill-mask", "/v1/fill-mask", {"json": {"input": "a [MASK]"}}),
        ("POST", "/v1/fill-mask", "/v1/fill-mask", {"json": {"input": "a [MASK]", "model": "none"}}),
        ("POST", "/v1/fill-mask", "/v1/fill-mask", {"json": {"input": ""}}),
        ("POST", "/v1/embeddings", "/v1/embeddings", {"json": {"input": "a", "truncate": 5}}),
        ("POST", "/v1/tokenize", "/v1/tokenize", {"json": {"input": "a"}}),
        ("POST", "/v1/fill-mask", "/v1/fill-mask", {"headers": {"origin": "http://evil.example"}, "json": {}}),
        ("GET", "/info", "/info", {}),
    ],
)
def test_answers_are_as_documented(
    document: dict[str, Any], jobs_client: TestClient, method: str, path: str, template: str, options: dict[str, Any]
) -> None:
    answer = jobs_client.request(method, path, **options)
    described = document["paths"][template][method.lower()]["responses"].get(str(answer.status_code))
    assert described is not None, answer.status_code
    schema = described["content"][answer.headers["content-type"].partition(";")[0]]["schema"]
    if not answer.is_success:
        assert schema == error_schema(template)
        detail = document["components"]["schemas"]["ErrorDetail"]
        assert answer.json().keys() == {"error"} and set(answer.json()["error"]) == set(detail["properties"])
