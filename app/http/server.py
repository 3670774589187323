"""The configuration of the HTTP server, shared by `cloze serve` and the tests."""

import resource
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from app.http.connections import ConnectionLimits, Connections
from app.http.protocol import protocol_for

MAX_DESCRIPTORS = 2**20  # where the system sets no limit; Linux's default maximum of descriptors for one process
_RESERVED = 256  # descriptors for Redis, open files and pipes


def configure(app: ASGIApp, limits: ConnectionLimits, **options: Any) -> uvicorn.Config:
    """Makes uvicorn's configuration for `app`. `options` are passed to uvicorn."""
    return uvicorn.Config(app, http=protocol_for(Connections(limits)), ws="none", lifespan="on", **options)


def raise_descriptor_limit() -> int:
    """Raises the process's limit of open files as far as the system allows. Returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else hard
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    except (OSError, ValueError):  # some systems allow less than they report
        return soft
    return limit


def connections_within(descriptors: int, wanted: int) -> int:
    """Limits `wanted` connections so that some descriptors stay free for files, pipes and Redis."""
    return max(1, min(wanted, descriptors - min(_RESERVED, descriptors // 2)))
