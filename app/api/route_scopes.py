"""The scope that a key needs for each route. A route that is not listed here fails a test."""

from functools import lru_cache
from typing import Literal, NamedTuple

from app.access.keys import KeyScope

# Open routes need no key; `any` is any valid key.
RouteScope = KeyScope | Literal["open", "any"]

_READ = frozenset({"GET", "HEAD", "OPTIONS"})
_WRITE = frozenset({"DELETE", "PATCH", "POST", "PUT"})
_ALL = _READ | _WRITE


class ScopeRule(NamedTuple):
    """A rule about paths. paths: each one path; with `/*` at its end, the path before it and all below it."""

    methods: frozenset[str]
    scope: RouteScope
    paths: tuple[str, ...]


# The first rule that matches decides. Health probes and the page's own files need no key. The page's requests do, and
# so do /metrics and /info, which show models and load.
RULES = (
    ScopeRule(_READ, "open", ("/", "/health", "/ready", "/openapi.json", "/tei/health", "/docs/*", "/static/*")),
    ScopeRule(_ALL, "admin", ("/v1/keys/*", "/v1/audit")),
    ScopeRule(_ALL, "jobs", ("/v1/files/*", "/v1/pretraining/*", "/v1/fine_tuning/*", "/v1/evaluations/*")),
    ScopeRule(_ALL, "jobs", ("/v1/sweeps/*", "/v1/workers")),
    ScopeRule(_ALL, "models", ("/v1/imports/*",)),
    # Models are shared: every key may list and download them.
    ScopeRule(_READ, "any", ("/v1/models/*", "/metrics", "/info", "/tei/*", "/api/tags", "/api/version")),
    ScopeRule(_WRITE, "models", ("/v1/models/*",)),
    ScopeRule(frozenset({"GET", "POST"}), "any", ("/api/models/*",)),  # of the hub; POST asks for paths
    ScopeRule(
        frozenset({"POST"}),
        "predict",
        (
            *("/v1/fill-mask", "/v1/embeddings", "/v1/classify", "/v1/score", "/v1/similarity", "/v1/rerank"),
            *("/v1/reconstruct", "/v1/tokenize", "/v1/embed", "/v2/embed", "/v2/rerank"),
            *("/api/embed", "/api/embeddings", "/models/*", "/tei/*"),
            *("/", "/embed", "/embed_all", "/embed_sparse", "/embeddings", "/predict", "/rerank", "/similarity"),
            *("/tokenize", "/decode"),
        ),
    ),
)
# The hub's files have any model's name at their beginning.
_HUB_FILE = "/resolve/"
_CACHED_LENGTH = 256  # characters of a path; every request asks


def find_scope(method: str, path: str) -> RouteScope | None:
    """Returns the scope of a request. None: no route has the path."""
    return _find_cached(method, path) if len(path) <= _CACHED_LENGTH else _find(method, path)


def _find(method: str, path: str) -> RouteScope | None:
    for rule in RULES:
        if method in rule.methods and any(_matches(path, pattern) for pattern in rule.paths):
            return rule.scope
    return "any" if method in _READ and _HUB_FILE in path else None


_find_cached = lru_cache(1024)(_find)


def _matches(path: str, pattern: str) -> bool:
    folder = pattern.removesuffix("/*")
    return path == folder or (folder != pattern and path.startswith(f"{folder}/"))
