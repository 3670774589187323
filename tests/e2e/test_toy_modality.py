"""A modality from outside app/, as an installed package brings it: submitted, trained on, published and served."""

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.fakes.cloze import ROOT, Server, wait_until
from tests.fakes.sensor_data import series, series_zip
from tests.fakes.warm_starts import SERVERS_AND_JOBS, warm_starts

HYPERPARAMETERS = {"window_readings": 32, "batch_size": 8, "max_steps": 4, "mask_strategy": "span"}
JOBS = "/v1/pretraining/jobs"


def install(folder: Path) -> str:
    """Writes what `pip` leaves of a package whose entry point names the descriptor; returns the path to it."""
    about = folder / "cloze_sensor-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: cloze-sensor\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[cloze.modalities]\nsensor = tests.toy_modality:SENSOR\n")
    return f"{ROOT}:{folder}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("cloze")
    with warm_starts(SERVERS_AND_JOBS, os.environ | {"PYTHONPATH": install(folder / "packages")}) as variables:
        server = Server(folder, environment=variables)
        try:
            yield server
        finally:
            assert server.stop() == 0, server.output


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    url = server.wait_for(r"Listening on (http://127\.0\.0\.1:\d+)\n")[1]
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def job(client: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A job that has ended well; its method is that of its preset."""
    archive = series_zip(tmp_path_factory.mktemp("data") / "series.zip", 16, readings=80, broken=1)
    file = client.post("/v1/files", files={"file": (archive.name, archive.read_bytes())}).json()["id"]
    body = {"model": "sensor-tiny", "training_file": file, "name": "sensors", "hyperparameters": HYPERPARAMETERS}
    job = client.post(JOBS, json=body).raise_for_status().json()

    def now() -> dict[str, Any]:
        return dict(client.get(f"{JOBS}/{job['id']}").json())

    wait_until(lambda: now()["status"] in {"succeeded", "failed"})
    assert now()["status"] == "succeeded", now()["error"]
    return now() | {"estimate": job["estimate"]}


def test_the_methods_of_the_modality_are_listed(client: httpx.Client) -> None:
    methods = {each["id"]: each for each in client.get("/v1/pretraining/methods").json()["data"]}
    method = methods["sensormae"]
    assert method["modality"] == "sensor" and [each["id"] for each in method["presets"]] == ["sensor-tiny"]
    assert method["hyperparameters"]["properties"]["window_readings"]["group"] == "architecture"


def test_the_job_was_estimated(job: dict[str, Any]) -> None:
    estimate = job["estimate"]
    assert (estimate["documents"], estimate["samples"], estimate["tokens"]) == (16, 32, 32 * 16)
    assert estimate["training_tokens"] == 4 * 8 * 16 and estimate["memory_bytes"] and estimate["disk_bytes"]


def test_the_published_model_is_described(client: httpx.Client, server: Server, job: dict[str, Any]) -> None:
    model = client.get("/v1/models/sensors").json()
    assert (model["modality"], model["architecture"]) == ("sensor", "vit_mae")
    assert model["tasks"] == ["embeddings", "reconstruct"] and "eval_psnr" in model["metrics"]
    card = (Path(server.store) / "sensors" / "1" / "README.md").read_text()
    assert "/v1/reconstruct -F model=sensors -F file=@series.csv" in card


def test_series_are_embedded(client: httpx.Client, job: dict[str, Any]) -> None:
    inputs = ["data:application/octet-stream;base64," + base64.b64encode(series(seed, 70)).decode() for seed in (1, 2)]
    body = {"model": "sensors", "input": inputs}
    answer = client.post("/v1/embeddings", json=body).raise_for_status().json()["data"]
    first, second = (np.array(each["embedding"]) for each in answer)
    assert first.shape == (64,) and not np.allclose(first, second)
    windows = client.post("/v1/embeddings", json=body | {"input": inputs[0], "output": "windows"}).json()["data"]
    assert [each["start"] for each in windows] == [0.0, 0.64, 1.28]


def test_a_series_is_reconstructed(client: httpx.Client, job: dict[str, Any]) -> None:
    form = {"model": "sensors", "ranges": "[[0.1, 0.3]]"}
    files = {"file": ("series.csv", series(3, 40))}
    answer = client.post("/v1/reconstruct", data=form, files=files).raise_for_status().json()
    assert answer["modality"] == "sensor" and np.flatnonzero(np.all(answer["mask"], axis=1)).tolist() == [1, 2, 3]
    predicted = client.post("/v1/reconstruct", data=form, files=files, headers={"accept": "text/csv"}).content
    assert base64.b64decode(answer["media"]["predicted"]["data"]) == predicted
    lines, original = predicted.splitlines(), series(3, 40).splitlines()
    assert len(lines) == 41 and lines[:5] == original[:5] and lines[5:17] != original[5:17]


def test_the_model_can_be_trained_on(client: httpx.Client, job: dict[str, Any]) -> None:
    body = {"model": "sensors", "training_file": job["training_file"], "hyperparameters": {"max_steps": 2}}
    answer = client.post(f"{JOBS}/validate", json=body).raise_for_status().json()
    assert answer["estimate"]["samples"] == 32
    refused = client.post(f"{JOBS}/validate", json=body | {"hyperparameters": {"window_readings": 16}})
    assert refused.json()["error"]["param"] == "hyperparameters.window_readings"
