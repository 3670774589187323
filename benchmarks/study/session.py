"""The requests of the study to a server of its own."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

_ENDED = ("succeeded", "failed", "cancelled")
_POLL = 2.0  # seconds
DONE = "job.json"  # the file of an evaluation that is written last


class Session:
    """Uploads files, runs jobs and fetches reports. A job that is in `folder` is not run again."""

    def __init__(self, url: str, folder: Path) -> None:
        self._http = httpx.Client(base_url=url, timeout=600)
        self._folder = folder

    def has_model(self, name: str) -> bool:
        return self._http.get(f"/v1/models/{name}").status_code == httpx.codes.OK

    def pretrain(self, body: Mapping[str, Any], path: Path) -> dict[str, Any]:
        """Returns the record of the finished job. Raises RuntimeError if it fails."""
        return self._run("/v1/fine_tuning/jobs", {**body, "training_file": self._upload(path)})

    def evaluate(self, name: str, body: Mapping[str, Any], path: Path) -> None:
        """Runs an evaluation and keeps its record and its artifacts. Raises RuntimeError if it fails."""
        kept = self._folder / name
        job = self._run("/v1/evaluations", {**body, "file": self._upload(path)})
        kept.mkdir(parents=True, exist_ok=True)
        listed = self._get(f"/v1/evaluations/{job['id']}/artifacts")["data"]
        for artifact in listed:
            if artifact["name"].endswith((".json", ".csv", ".md", ".png")):
                answer = self._http.get(f"/v1/evaluations/{job['id']}/artifacts/{artifact['name']}")
                (kept / artifact["name"]).write_bytes(answer.raise_for_status().content)
        (kept / DONE).write_text(json.dumps(job, indent=1), encoding="utf-8")

    def _upload(self, path: Path) -> str:
        with path.open("rb") as stream:
            answer = self._http.post("/v1/files", data={"purpose": "fine-tune"}, files={"file": (path.name, stream)})
        return str(answer.raise_for_status().json()["id"])

    def _run(self, route: str, body: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._http.post(route, json=body)
        if answer.is_error:
            raise RuntimeError(f"{route}: {answer.text}")
        job = answer.json()
        while job["status"] not in _ENDED:
            time.sleep(_POLL)
            job = self._get(f"{route}/{job['id']}")
        if job["status"] != "succeeded":
            raise RuntimeError(f"{route}/{job['id']}: {job['status']}: {job.get('error')}")
        return dict(job)

    def _get(self, route: str) -> dict[str, Any]:
        return dict(self._http.get(route).raise_for_status().json())
