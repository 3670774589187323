"""HEAD, OPTIONS, `Allow` and trailing slashes: one mechanism for every route."""

from collections.abc import Iterable

from starlette.convertors import StringConvertor, register_url_convertor
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")


class HeadMiddleware:
    """Answers HEAD wherever GET is answered: with the same status and headers, and without a body.

    The route sees a GET. It is ended once its headers are known, so that no stream is computed for nobody.
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

        inner = {**scope, "method": "GET"}  # a copy: the server has to see HEAD when the headers are sent
        try:
            await self.app(inner, receive, send_headers)
        except _HeadersSent:
            scope["route"] = inner.get("route")  # for the metrics


class _HeadersSent(Exception):
    """Ends the route of a HEAD request."""


class PathMiddleware:
    """Takes a path with trailing slashes as the path without them, and a path under `root_path` as the rest of it.

    root_path: where a proxy serves this application, such as `/cloze`. Proxies that cut it off and proxies that leave
    it in the path are both understood.
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
    """The methods that a path has, with those that every path has; empty where no route has the path."""
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
    """A path's job id: any name but those that have a route of their own, which answers with its own `Allow`."""

    regex = "(?!validate$)[^/]+"


register_url_convertor("job_id", JobIdConvertor())
