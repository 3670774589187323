"""The scope of every route. A new route must be listed in `app.api.route_scopes` and here."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from app.api.route_scopes import find_scope

SCOPES = {
    "open": {
        *("GET /", "GET /static/{version}/{path:path}", "GET /docs", "MOUNT /docs/assets", "GET /openapi.json"),
        *("GET /health", "GET /ready", "GET /tei/health"),
    },
    "any": {
        *("GET /metrics", "GET /info", "GET /tei/info", "GET /tei/{model_id:path}/info"),
        *("GET /api/tags", "GET /api/version"),
        *("GET /v1/models", "GET /v1/models/{model_id:path}", "GET /v1/models/{model_id:path}/card"),
        *("GET /v1/models/{model_id:path}/examples", "GET /v1/models/{model_id:path}/archive"),
        *("GET /api/models/{model_id:path}", "GET /api/models/{model_id:path}/refs"),
        "GET /api/models/{model_id:path}/revision/{revision:path}",
        "GET /api/models/{model_id:path}/tree/{revision}",
        "GET /api/models/{model_id:path}/tree/{revision}/{folder:path}",
        "POST /api/models/{model_id:path}/paths-info/{revision}",
        "GET /{model_id:path}/resolve/{revision}/{file:path}",
    },
    "models": {
        *("POST /v1/models/import", "DELETE /v1/models/{model_id:path}"),
        *("POST /v1/models/{model_id:path}/load", "POST /v1/models/{model_id:path}/unload"),
        *("PUT /v1/models/{name:path}/aliases/{alias}", "DELETE /v1/models/{name:path}/aliases/{alias}"),
    },
    "predict": {
        *("POST /v1/fill-mask", "POST /v1/embeddings", "POST /v1/classify", "POST /v1/score", "POST /v1/similarity"),
        *("POST /v1/rerank", "POST /v1/reconstruct", "POST /v1/tokenize"),
        *("POST /v1/embed", "POST /v2/embed", "POST /v2/rerank", "POST /api/embed", "POST /api/embeddings"),
        *("POST /models/{model_id:path}", "POST /models/{model_id:path}/pipeline/{task}", "POST /", "POST /embeddings"),
        *(
            f"POST {prefix}/{name}"
            for prefix in ("", "/tei", "/tei/{model_id:path}")
            for name in (
                *("embed", "embed_all", "embed_sparse", "predict", "rerank", "similarity"),
                *("tokenize", "decode"),
            )
        ),
    },
}
# All routes below these paths have one scope.
FOLDERS = {
    "jobs": ("/v1/files", "/v1/pretraining", "/v1/fine_tuning", "/v1/evaluations", "/v1/sweeps", "/v1/workers"),
    "models": ("/v1/imports",),
    "admin": ("/v1/keys", "/v1/audit"),
}


def routes_of(app: Any) -> Iterator[tuple[str, str]]:
    """Yields the method and the template of every route."""
    for context in iter_route_contexts(app.routes):
        route = getattr(context, "original_route", context)
        if isinstance(route, Mount):
            yield "MOUNT", route.path
            continue
        for method in (context.methods or set()) - {"HEAD"}:
            yield method, context.path


def expected_scope(method: str, path: str) -> str | None:
    for scope, folders in FOLDERS.items():
        if any(path == folder or path.startswith(f"{folder}/") for folder in folders):
            return scope
    return next((scope for scope, routes in SCOPES.items() if f"{method} {path}" in routes), None)


def test_every_route_has_the_scope_of_the_table(make_app: Callable[..., Any]) -> None:
    routes = set(routes_of(make_app()))
    wrong = [
        (method, path, found, expected)
        for method, path in sorted(routes)
        if (found := find_scope(method.replace("MOUNT", "GET"), path)) != (expected := expected_scope(method, path))
        or expected is None
    ]

    assert not wrong
    listed = {route for found in SCOPES.values() for route in found}
    assert listed <= {f"{method} {path}" for method, path in routes}, "the table has routes that do not exist"


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("HEAD", "/v1/models", "any"),
        ("OPTIONS", "/v1/keys/key-1", "admin"),
        ("GET", "/v1/keysight", None),
        ("GET", "/v1/nothing", None),
        ("GET", "/healthy", None),
        ("POST", "/health", None),
        ("GET", "/org/model/resolve/main/model.safetensors", "any"),
    ],
)
def test_paths_near_those_of_rules(method: str, path: str, scope: str | None) -> None:
    assert find_scope(method, path) == scope
