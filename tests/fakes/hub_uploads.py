"""The routes of a hub that huggingface_hub writes to: repositories, large files and commits."""

import base64
import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

from tests.fakes.hub_repository import FakeRepository


class Uploads(BaseHTTPRequestHandler):
    """repositories: by id; pushes add to them. tokens: what each token is answered with; 200: it may write."""

    repositories: dict[str, FakeRepository]
    tokens: ClassVar[dict[str, int]] = {}
    objects: dict[str, bytes]  # large files by SHA-256

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        status = self.tokens.get(token, 401)
        path = self.path.partition("?")[0]
        if path == "/api/validate-yaml":
            self.reply(*_validate(json.loads(body)["content"]))
        elif status != 200:
            self.reply(status, {"error": "Invalid username or password."})
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path.endswith(".git/info/lfs/objects/batch"):
            self.reply(
                200, {"transfer": "basic", "objects": [self._place(each) for each in json.loads(body)["objects"]]}
            )
        else:
            name, _, action = path.removeprefix("/api/models/").rpartition("/")[0].rpartition("/")
            actions: dict[str, Callable[[str, bytes], None]] = {"preupload": self._announce, "commit": self._commit}
            actions[action](name, body)

    def do_PUT(self) -> None:
        """A large file."""
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.objects[self.path.rpartition("/")[2]] = content
        self.reply(200, {})

    def reply(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _create(self, asked: dict[str, Any]) -> None:
        name = "/".join(part for part in (asked.get("organization"), asked["name"]) if part)
        status = 409 if name in self.repositories else 200
        self.repositories.setdefault(name, FakeRepository({"main": {}}))
        self.reply(status, {"url": f"{self._address()}/{name}", "error": "You already created this model repo"})

    def _place(self, large: dict[str, Any]) -> dict[str, Any]:
        return {**large, "actions": {"upload": {"href": f"{self._address()}/objects/{large['oid']}"}}}

    def _announce(self, name: str, body: bytes) -> None:
        """Tells how each file is to be uploaded: weights as large files, others within the commit."""
        modes = [
            {"path": path, "uploadMode": "lfs" if path.endswith(".safetensors") else "regular", "shouldIgnore": False}
            for path in (each["path"] for each in json.loads(body)["files"])
        ]
        self.reply(200, {"files": modes})

    def _commit(self, name: str, body: bytes) -> None:
        repository = self.repositories[name]
        files = dict(repository.revisions["main"])
        for operation in map(json.loads, body.splitlines()):
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                files[value["path"]] = self.objects[value["oid"]]
            elif operation["key"] == "deletedFile":
                del files[value["path"]]
        repository.revisions = {**repository.revisions, "main": files}
        commit = repository.commit("main")
        self.reply(200, {"commitUrl": f"{self._address()}/{name}/commit/{commit}", "commitOid": commit})

    def _address(self) -> str:
        return f"http://{self.headers['Host']}"


def _validate(card: str) -> tuple[int, dict[str, Any]]:
    """The answer about a card's front matter, whose `license` has to be a word."""
    bad = "license: [" in card
    return (400, {"errors": [{"message": '"license" must be a string'}]}) if bad else (200, {"errors": []})
