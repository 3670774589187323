from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent
from openai.types.fine_tuning.jobs import FineTuningJobCheckpoint

from app.jobs.spec import JobError, Progress
from app.methods import TEXT_PRESETS
from app.store.store import ModelStore
from app.types import ModalityName
from tests.api.conftest import publish
from tests.fakes.jobs import JobSystem

PATH = "/v1/pretraining/jobs"
TEXT = b"The lions hunt.\n\nThe deer run.\n"


@pytest.fixture
def file_id(jobs_client: TestClient) -> str:
    return upload(jobs_client, TEXT, "text.txt")


def upload(client: TestClient, content: bytes, name: str) -> str:
    answer = client.post("/v1/files", files={"file": (name, content)}, data={"purpose": "fine-tune"})
    return str(answer.json()["id"])


def mlm(**hyperparameters: Any) -> dict[str, Any]:
    return {"type": "mlm", "mlm": {"hyperparameters": hyperparameters}}


def create(client: TestClient, file_id: str, path: str = PATH, **changes: Any) -> Any:
    return client.post(path, json={"model": "bert-tiny", "training_file": file_id, **changes})


def parse_strictly(job: dict[str, Any]) -> FineTuningJob:
    """By OpenAI's own types; but the types of method that OpenAI knows are a closed list."""
    return FineTuningJob.model_validate({**job, "method": None})


@pytest.mark.parametrize("path", [PATH, "/v1/fine_tuning/jobs"])
def test_create_get_list(jobs_client: TestClient, file_id: str, path: str) -> None:
    job = create(jobs_client, file_id, path, method=mlm(max_steps=7), seed=3, suffix="mine", metadata={"a": "b"}).json()

    parsed = parse_strictly(job)
    assert (parsed.status, parsed.model, parsed.training_file, parsed.seed) == ("queued", "bert-tiny", file_id, 3)
    assert (parsed.fine_tuned_model, parsed.finished_at, parsed.trained_tokens, parsed.error) == (None,) * 4
    assert (job["name"], job["metadata"], job["queue_position"], job["attempts"]) == ("mine", {"a": "b"}, 0, 0)
    assert job["method"]["type"] == "mlm"
    assert job["method"]["mlm"]["hyperparameters"] == job["hyperparameters"]
    assert (job["hyperparameters"]["max_steps"], job["hyperparameters"]["seed"]) == (7, 3)
    for prefix in (PATH, "/v1/fine_tuning/jobs"):
        assert jobs_client.get(f"{prefix}/{job['id']}").json() == job
        assert jobs_client.get(prefix).json() == {"object": "list", "data": [job], "has_more": False}


def test_openais_older_form(jobs_client: TestClient, file_id: str) -> None:
    job = create(jobs_client, file_id, hyperparameters={"n_epochs": 2, "batch_size": "auto"}, integrations=None).json()

    assert job["hyperparameters"]["epochs"] == 2


def test_the_stored_model_is_pinned_and_names_the_result(jobs_client: TestClient, file_id: str) -> None:
    job = create(jobs_client, file_id, model="org/slashed", method=mlm(teacher="bare")).json()

    assert job["model"] == "org/slashed@1"
    assert job["hyperparameters"]["teacher"] == "bare@1"
    assert job["name"].startswith("org/slashed-")
    assert create(jobs_client, file_id).json()["name"].startswith("bert-tiny-")


def test_several_files(jobs_client: TestClient, file_id: str) -> None:
    other = upload(jobs_client, b'{"text": "More."}\n', "more.jsonl")

    job = create(
        jobs_client, file_id, training_file=None, training_files=[file_id, other], validation_file=other
    ).json()

    assert (job["training_file"], job["training_files"]) == (file_id, [file_id, other])
    assert job["validation_file"] == other


FIELD = "method.mlm.hyperparameters"


@pytest.mark.parametrize(
    ("changes", "status", "param"),
    [
        ({"model": "absent"}, 404, "model"),
        ({"model": ""}, 422, "model"),
        ({"model": None}, 422, "model"),
        ({"training_file": "file-none"}, 404, "training_file"),
        ({"validation_file": "file-none"}, 404, "validation_file"),
        ({"training_file": None}, 422, None),
        ({"method": mlm(learning_rate=7)}, 422, f"{FIELD}.learning_rate"),
        ({"method": mlm(masking_rate=1)}, 422, f"{FIELD}.masking_rate"),
        ({"method": mlm(max_step=1)}, 422, f"{FIELD}.max_step"),
        ({"method": mlm(sequence_length=[], batch_size=3)}, 422, f"{FIELD}.sequence_length"),
        ({"method": mlm(n_epochs=True)}, 422, f"{FIELD}.n_epochs"),
        ({"method": mlm(batch_size=0)}, 422, f"{FIELD}.batch_size"),
        ({"method": mlm(batch_size=8, batch_tokens=1024)}, 422, f"{FIELD}.batch_size"),
        ({"method": mlm(batch_tokens=8)}, 422, FIELD),
        ({"method": mlm(teacher="absent")}, 404, f"{FIELD}.teacher"),
        ({"method": mlm(tokenizer="base")}, 422, f"{FIELD}.tokenizer_model"),
        ({"method": {"type": "supervised"}}, 422, "method.type"),
        ({"method": {"type": []}}, 422, "method.type"),
        ({"method": {"type": "mlm", "mlm": 3}}, 422, "method.mlm"),
        ({"method": {"type": "mlm", "mlm": {"max_steps": 3}}}, 422, "method.mlm.max_steps"),
        ({"method": {"type": "mlm", "dpo": {}}}, 422, "method.dpo"),
        ({"hyperparameters": {"learning_rate": 7}}, 422, "hyperparameters.learning_rate"),
        ({"hyperparameters": {"max_steps": 3}, "method": mlm(max_steps=4)}, 422, "hyperparameters"),
        ({"seed": 1, "method": mlm(seed=2)}, 422, "seed"),
        ({"seed": -1}, 422, "seed"),
        ({"name": "../up"}, 422, "name"),
        ({"suffix": "a b"}, 422, "suffix"),
        ({"name": "a", "suffix": "b"}, 422, None),
        ({"metadata": {"k": 1}}, 422, "metadata.k"),
        ({"metadata": {str(k): "" for k in range(17)}}, 422, "metadata"),
        ({"integrations": [{"type": "wandb"}]}, 422, "integrations"),
        ({"unknown": 1}, 422, "unknown"),
    ],
)
def test_refusals_name_the_field(
    jobs_client: TestClient, file_id: str, changes: dict[str, Any], status: int, param: str | None
) -> None:
    answer = create(jobs_client, file_id, **changes)

    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (status, param), error
    assert jobs_client.get(PATH).json()["data"] == []


@pytest.mark.parametrize("field", ["teacher", "tokenizer_model"])
def test_a_model_of_images_teaches_no_text(
    jobs_client: TestClient, file_id: str, store: ModelStore, tmp_path: Path, field: str
) -> None:
    publish(store, tmp_path, "seen", modality=ModalityName.IMAGE)
    error = create(jobs_client, file_id, model="bert-tiny", method=mlm(**{field: "seen"})).json()["error"]
    assert (error["code"], error["param"]) == ("invalid_value", f"{FIELD}.{field}")
    assert error["message"] == f"`{field}` should be a model of text; seen@1 is one of image"


def test_an_unknown_model_lists_the_presets(jobs_client: TestClient, file_id: str) -> None:
    message = create(jobs_client, file_id, model="bert-huge").json()["error"]["message"]

    assert all(preset in message for preset in TEXT_PRESETS)


def test_bad_data_is_refused_at_once_with_file_and_line(jobs_client: TestClient) -> None:
    bad = upload(jobs_client, b'{"text": "fine"}\n{"body": "no text"}\n', "bad.jsonl")

    answer = create(jobs_client, bad)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (422, "invalid_data", "training_file")
    assert "bad.jsonl, line 2" in error["message"]
    assert create(jobs_client, bad, method=mlm(text_column="body")).json()["error"]["code"] == "invalid_data"


def test_list_by_cursor_and_metadata(jobs_client: TestClient, file_id: str) -> None:
    ids = [create(jobs_client, file_id, metadata={"n": str(n % 2), "all": "yes"}).json()["id"] for n in range(4)][::-1]

    def listed(**params: Any) -> tuple[list[str], bool]:
        body = jobs_client.get(PATH, params=params).json()
        return [job["id"] for job in body["data"]], body["has_more"]

    assert listed(limit=3) == (ids[:3], True)
    assert listed(limit=3, after=ids[2]) == (ids[3:], False)
    assert listed(**{"metadata[n]": "1"}) == ([ids[0], ids[2]], False)
    assert listed(**{"metadata[n]": "1", "metadata[all]": "no"}) == ([], False)
    assert jobs_client.get(PATH, params={"after": "ftjob-none"}).status_code == 404


def test_sent_twice_with_one_key_is_one_job(jobs_client: TestClient, file_id: str) -> None:
    body = {"model": "bert-tiny", "training_file": file_id}
    headers = {"Idempotency-Key": "once"}

    first, again = (jobs_client.post(PATH, json=body, headers=headers).json() for _ in range(2))
    other = jobs_client.post(PATH, json={**body, "seed": 5}, headers=headers)

    assert first["id"] == again["id"]
    assert other.status_code == 409


@pytest.mark.parametrize("number", [10**19, 10**25])
def test_a_key_with_a_number_of_any_size_is_no_error(jobs_client: TestClient, file_id: str, number: int) -> None:
    body = {"model": "bert-tiny", "training_file": file_id, "hyperparameters": {"max_steps": number}}

    answer = jobs_client.post(PATH, json=body, headers={"Idempotency-Key": "large"})

    assert answer.status_code == jobs_client.post(PATH, json=body).status_code < 500, answer.text


@pytest.mark.parametrize("suffix", [":events", ":metrics:train_loss", ":checkpoints", "*", "%00", "\u0663", "A"])
def test_what_begins_as_an_id_is_none(jobs_client: TestClient, jobs: JobSystem, file_id: str, suffix: str) -> None:
    job_id = create(jobs_client, file_id).json()["id"]
    claim = jobs.queue.claim("worker", 60)
    assert claim is not None
    jobs.queue.append_event(claim, "Step 5", type="metrics", data={"step": 5, "train_loss": 2.5})
    jobs.queue.add_checkpoint(claim, 5, "checkpoints/5", {"train_loss": 2.5})

    for method, path in (
        ("GET", f"{PATH}/{job_id}{suffix}"),
        ("GET", f"{PATH}/{job_id}{suffix}/events"),
        ("POST", f"{PATH}/{job_id}{suffix}/cancel"),
        ("DELETE", f"{PATH}/{job_id}{suffix}"),
        ("GET", f"/v1/files/{file_id}{suffix}"),
        ("GET", f"/v1/files/{file_id}:jobs"),
        ("DELETE", f"/v1/files/{file_id}{suffix}"),
    ):
        assert jobs_client.request(method, path).status_code == 404, path
    assert create(jobs_client, f"{file_id}:jobs").json()["error"]["param"] == "training_file"


def test_cancel_with_an_empty_json_body(jobs_client: TestClient, file_id: str) -> None:
    job = create(jobs_client, file_id).json()
    path = f"/v1/fine_tuning/jobs/{job['id']}/cancel"

    answer = jobs_client.post(path, content=b"", headers={"content-type": "application/json"})

    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert jobs_client.post(path).status_code == 409
    assert jobs_client.post(f"{PATH}/ftjob-none/cancel").json()["error"]["code"] == "job_not_found"


def test_a_jobs_life_as_openais_types_see_it(jobs_client: TestClient, jobs: JobSystem, file_id: str) -> None:
    job_id = create(jobs_client, file_id).json()["id"]
    path = f"/v1/fine_tuning/jobs/{job_id}"
    claim = jobs.queue.claim("worker", 60)
    assert claim is not None
    jobs.queue.set_progress(claim, Progress(percent=50, step=5, tokens=1000, eta_seconds=60))
    jobs.queue.append_event(claim, "Step 5", type="metrics", data={"step": 5, "train_loss": 2.5})
    jobs.queue.add_checkpoint(claim, 5, "checkpoints/5", {"train_loss": 2.5})

    running = jobs_client.get(path).json()
    parsed = parse_strictly(running)
    assert (parsed.status, parsed.trained_tokens, running["attempts"]) == ("running", None, 1)
    assert parsed.estimated_finish is not None
    assert parsed.estimated_finish >= parsed.created_at + 60
    assert running["progress"]["percent"] == 50

    stopping = jobs_client.post(f"{path}/cancel").json()
    assert (parse_strictly(stopping).status, stopping["cancel_requested"]) == ("running", True)
    jobs.queue.fail(claim, JobError(code="invalid_data", message="no text", param="training_file"))
    failed = parse_strictly(jobs_client.get(path).json())
    assert (failed.status, failed.trained_tokens) == ("failed", 1000)
    assert failed.error is not None
    assert (failed.error.code, failed.error.message) == ("invalid_data", "no text")

    events = jobs_client.get(f"{path}/events", params={"limit": 100}).json()
    assert events["has_more"] is False
    listed = [FineTuningJobEvent.model_validate(event) for event in events["data"]]
    assert listed[0].level == "error"
    [metrics] = [event for event in listed if event.type == "metrics"]
    assert metrics.data == {"step": 5, "train_loss": 2.5}
    oldest = jobs_client.get(f"{path}/events", params={"limit": 2, "order": "asc"}).json()
    after = jobs_client.get(f"{path}/events", params={"order": "asc", "after": oldest["data"][-1]["id"]}).json()
    assert [e["id"] for e in oldest["data"] + after["data"]] == [e.id for e in listed][::-1]

    [checkpoint] = jobs_client.get(f"{path}/checkpoints").json()["data"]
    seen = FineTuningJobCheckpoint.model_validate(checkpoint)
    assert (seen.step_number, seen.fine_tuning_job_id, seen.metrics.train_loss) == (5, job_id, 2.5)


def test_success_names_the_published_model(jobs_client: TestClient, jobs: JobSystem, file_id: str) -> None:
    job_id = create(jobs_client, file_id, name="mine").json()["id"]
    claim = jobs.queue.claim("worker", 60)
    assert claim is not None
    jobs.queue.succeed(claim, "mine@1")

    job = parse_strictly(jobs_client.get(f"{PATH}/{job_id}").json())

    assert (job.status, job.fine_tuned_model) == ("succeeded", "mine@1")
    assert job.finished_at is not None


def test_metrics_count_jobs_by_state(jobs_client: TestClient, file_id: str) -> None:
    create(jobs_client, file_id)

    text = jobs_client.get("/metrics").text

    assert 'cloze_jobs{state="queued"} 1.0' in text
    assert 'cloze_requests_total{method="POST",route="/v1/pretraining/jobs",status="200"} 1.0' in text


def test_redis_away_is_503_while_inference_works(make_client, tmp_path) -> None:  # type: ignore[no-untyped-def]
    client = make_client(redis_url=f"unix://{tmp_path}/nothing.sock")

    for answer in (client.get(PATH), client.get("/v1/files"), client.get(f"{PATH}/ftjob-1")):
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_ready")
    assert client.post("/v1/fill-mask", json={"input": "[MASK]"}).status_code == 200
    assert client.get("/metrics").status_code == 200
