"""The configuration of the HTTP server, which `cloze serve` and the tests share."""

import resource
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from app.http.connections import ConnectionLimits, Connections
from app.http.protocol import protocol_for

_UNLIMITED = 2**20  # what Linux allows a process by default
_RESERVED = 256  # descriptors for Redis, files that are read and written, pipes


def configure(app: ASGIApp, limits: ConnectionLimits, **options: Any) -> uvicorn.Config:
    """The configuration of a server of `app`; `options` are uvicorn's."""
    return uvicorn.Config(app, http=protocol_for(Connections(limits)), ws="none", lifespan="on", **options)


def raise_descriptor_limit() -> int:
    """Raises the process's limit of open files as far as the system lets it. Returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _UNLIMITED if hard == resource.RLIM_INFINITY else hard
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):  # some systems allow less than they say
        return soft
    return most


def connections_within(descriptors: int, wanted: int) -> int:
    """`wanted` connections, or as many as leave some of the descriptors for other things."""
    return max(1, min(wanted, descriptors - min(_RESERVED, descriptors // 2)))
