"""A small Hugging Face hub over HTTP: the routes that huggingface_hub asks for one model's files."""

import hashlib
import json
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from tests.fakes.hub_repository import FakeRepository as FakeRepository
from tests.fakes.hub_uploads import Uploads


class _Hub(Uploads):
    def do_GET(self) -> None:
        path = unquote(self.path.partition("?")[0])
        for name, repository in self.repositories.items():
            for prefix, is_file in ((f"/api/models/{name}", False), (f"/{name}/resolve/", True)):
                if path.startswith(prefix):
                    self._answer_for(repository, name, path.removeprefix(prefix), is_file=is_file)
                    return
        self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET

    def _answer_for(self, repository: FakeRepository, name: str, rest: str, *, is_file: bool) -> None:
        if rest.startswith("/discussions"):
            found = [_discussion(number, author) for number, author in repository.pull_requests.items()]
            self._send(200, json.dumps({"discussions": found, "count": len(found), "start": 0}).encode())
            return
        place = rest if is_file else rest.removeprefix("/revision/").removeprefix("/tree/") or "main"
        revision = next((r for r in _revisions(repository) if place == r or place.startswith(f"{r}/")), None)
        found = repository.files(revision) if revision else None
        if found is None:
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            return
        commit, files = found
        if is_file:
            path = place.removeprefix(f"{revision}/")
            self._send_file(repository, commit, path, files.get(path))
        elif rest.startswith("/tree/"):
            tree = [{"type": "file", "path": n, "size": len(c), "oid": "0"} for n, c in files.items()]
            self._send(200, json.dumps(tree).encode())
        else:
            siblings = [{"rfilename": n, "size": len(c)} for n, c in files.items()]
            self._send(200, json.dumps({"id": name, "sha": commit, "siblings": siblings}).encode())

    def _send_file(self, repository: FakeRepository, commit: str, path: str, content: bytes | None) -> None:
        if repository.gated:
            self._send(403, b"{}", {"X-Error-Code": "GatedRepo"})
        elif content is None:
            self._send(404, b"{}", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        elif path in repository.broken and self.command == "GET":
            half = b"" if "Range" in self.headers else content[: len(content) // 2]
            self._send(200, half, {"X-Repo-Commit": commit, "Content-Length": str(len(content))})
            self.close_connection = True
        else:
            held = repository.held if path.endswith(".safetensors") else None
            surplus = b"surplus" if path in repository.resized and self.command == "GET" else b""
            self._send(200, content + surplus, {"X-Repo-Commit": commit}, held)

    def _send(
        self, status: int, body: bytes, headers: Mapping[str, str] | None = None, held: threading.Event | None = None
    ) -> None:
        self.send_response(status)
        digest = hashlib.sha256(body).hexdigest()
        for key, value in {"Content-Length": str(len(body)), "ETag": f'"{digest}"', **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            first = len(body) // 2 if held else len(body)
            self.wfile.write(body[:first])
            if held:
                self.wfile.flush()
                held.wait()
                self.wfile.write(body[first:])

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of clients that went away: the lines would stand in the output of a test."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serve_hub(repositories: Mapping[str, FakeRepository], tokens: Mapping[str, int] | None = None) -> Iterator[str]:
    """The address of a hub with these repositories, by id, and what it answers writes with each token with."""

    handler = type("Hub", (_Hub,), {"repositories": repositories, "tokens": tokens or {}, "objects": {}})
    server = _Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _revisions(repository: FakeRepository) -> list[str]:
    return [each for name in repository.revisions for each in (name, repository.commit(name))]


def _discussion(number: int, author: str) -> dict[str, Any]:
    return {
        "num": number,
        "title": "Adding `safetensors` variant of this model",
        "status": "open",
        "isPullRequest": True,
        "createdAt": "2023-01-01T00:00:00.000Z",
        "repo": {"name": "org/old", "type": "model"},
        "author": {"name": author},
    }
