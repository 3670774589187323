"""HEAD, OPTIONS, `Allow` and trailing slashes, handled for all routes."""

from collections.abc import Iterable

from starlette.convertors import StringConvertor, register_url_convertor
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")


class HeadMiddleware:
    """Answers HEAD on every route for GET, with the same status and headers and without a body.

    The route sees a GET. It is stopped once it has sent its headers, so that no stream is computed in vain.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                raise _HeadersSent

        inner = {**scope, "method": "GET"}  # a copy, because the server must see HEAD when it sends the headers
        try:
            await self.app(inner, receive, send_headers)
        except _HeadersSent:
            scope["route"] = inner.get("route")  # for the metrics


class _HeadersSent(Exception):
    """Stops the route of a HEAD request."""


class PathMiddleware:
    """Removes trailing slashes and the prefix `root_path` from paths.

    root_path: the path under which a proxy serves this application, such as `/cloze`. The proxy may remove it from
    requests or not.
    """

    def __init__(self, app: ASGIApp, root_path: str = "") -> None:
        self.app = app
        self.root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["path"]
            if path == self.root_path or path.startswith(f"{self.root_path}/"):
                path = path.removeprefix(self.root_path)
            scope = {**scope, "path": path.rstrip("/") or "/"}
        await self.app(scope, receive, send)


def allowed_methods(routes: Iterable[BaseRoute], scope: Scope) -> list[str]:
    """Returns the methods of a path, with HEAD and OPTIONS. Returns an empty list if no route has the path."""
    routes = list(routes)
    found = {
        method
        for method in _METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)
    }
    if "GET" in found:
        found.add("HEAD")
    return sorted(found | {"OPTIONS"}) if found else []


class JobIdConvertor(StringConvertor):
    """A job id in a path. Excludes names that have their own route, so that `Allow` is right for those."""

    regex = "(?!validate$)[^/]+"


register_url_convertor("job_id", JobIdConvertor())
