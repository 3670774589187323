from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.jobs.spec import JobError, Progress
from app.jobs.worker_queue import Claim
from app.jobs.workers import Capabilities, WorkerInfo
from app.store.store import ModelStore
from tests.fakes.checkpoints import leave_checkpoint
from tests.fakes.jobs import JobSystem

PATH = "/v1/pretraining/jobs"


@pytest.fixture
def make_job(jobs_client: TestClient) -> Callable[..., str]:
    answer = jobs_client.post(
        "/v1/files", files={"file": ("a.txt", b"The lions hunt.\n\nThe deer run.\n")}, data={"purpose": "fine-tune"}
    )
    file_id = answer.json()["id"]

    def make(**body: Any) -> str:
        body = {"model": "bert-tiny", "training_file": file_id, "name": "mine", **body}
        answer = jobs_client.post(PATH, json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    return make


@pytest.fixture
def post(jobs_client: TestClient) -> Callable[..., Any]:
    def send(job_id: str, action: str, status: int = 200, **body: Any) -> Any:
        answer = jobs_client.post(f"{PATH}/{job_id}/{action}", **({"json": body} if body else {}))
        assert answer.status_code == status, answer.text
        return answer.json() if status == 200 else answer.json()["error"]

    return send


def take(jobs: JobSystem) -> Claim:
    claim = jobs.queue.claim("worker", 60)
    assert claim is not None
    return claim


Post = Callable[..., Any]
MakeJob = Callable[..., str]


def test_pause_and_resume(post: Post, make_job: MakeJob, jobs: JobSystem) -> None:
    job_id = make_job()
    claim = take(jobs)
    pausing = post(job_id, "pause")
    assert (pausing["status"], pausing["pause_requested"]) == ("running", True)
    jobs.queue.mark_paused(claim)
    assert post(job_id, "pause")["status"] == "paused"
    assert post(job_id, "resume")["status"] == "queued"
    error = post(job_id, "resume", status=409)
    assert error["code"] == "conflict" and "is queued and cannot be resumed" in error["message"]


def test_a_failed_job_is_retried(post: Post, make_job: MakeJob, jobs: JobSystem, jobs_client: TestClient) -> None:
    job_id = make_job(max_wall_minutes=60)
    jobs.queue.fail(take(jobs), JobError(code="invalid_data", message="no", type="user_error"))
    failed = jobs_client.get(f"{PATH}/{job_id}").json()
    assert failed["error"] == {"code": "invalid_data", "message": "no", "param": None, "type": "user_error"}
    retried = post(job_id, "retry", max_wall_minutes=600)
    assert (retried["status"], retried["retries"], retried["error"]) == ("queued", 1, None)
    assert retried["deadline"] - failed["deadline"] > 500 * 60


def finish(jobs: JobSystem, claim: Claim, jobs_dir: Path, step: int = 10) -> str:
    jobs.queue.set_progress(claim, Progress(step=step, tokens=step * 100, epoch=1.0))
    checkpoint = leave_checkpoint(jobs, claim, jobs_dir, step)
    jobs.queue.succeed(claim, "mine@1")
    return checkpoint


def test_a_finished_job_is_extended(post: Post, make_job: MakeJob, jobs: JobSystem, tmp_path: Path) -> None:
    job_id = make_job(method={"type": "mlm", "mlm": {"hyperparameters": {"max_steps": 10, "max_minutes": 5}}})
    assert "only succeeded" in post(job_id, "extend", status=409, max_steps=20)["message"]
    finish(jobs, take(jobs), tmp_path / "var" / "jobs")
    assert post(job_id, "extend", status=422, max_steps=10)["param"] == "max_steps"
    assert post(job_id, "extend", status=422, epochs=-1)["param"] == "epochs"
    assert post(job_id, "extend", status=422, max_steps=None)["message"]
    longer = post(job_id, "extend", max_steps=20)
    assert (longer["status"], longer["extensions"]) == ("queued", 1)
    assert (longer["hyperparameters"]["max_steps"], longer["hyperparameters"]["max_minutes"]) == (20, None)


def test_priority_and_position(post: Post, make_job: MakeJob) -> None:
    first, second = make_job(), make_job(priority=3)
    assert post(first, "priority", position=0)["priority"] == 3
    assert post(second, "priority", priority=4)["queue_position"] == 0
    assert post(first, "priority", status=422, priority=1, position=1)["code"] == "invalid_value"
    assert post(first, "priority", status=422, priority=1001)["param"] == "priority"


def test_a_checkpoint_is_published_once(
    post: Post, make_job: MakeJob, jobs: JobSystem, store: ModelStore, tmp_path: Path, jobs_client: TestClient
) -> None:
    job_id = make_job()
    claim = take(jobs)
    jobs.queue.set_progress(claim, Progress(step=20, epoch=2.0))
    checkpoint = leave_checkpoint(jobs, claim, tmp_path / "var" / "jobs", 10)
    published = [post(job_id, f"checkpoints/{checkpoint}/publish") for _ in range(2)]
    assert published[0] == published[1]
    assert (published[0]["model"], published[0]["step_number"]) == ("mine@1", 10)
    assert post(job_id, f"checkpoints/{checkpoint}/publish", name="other")["model"] == "other@1"
    entry = store.resolve("mine@1")
    assert (entry.path / "model.safetensors").read_bytes() == b"weights of step 10"
    assert (entry.manifest.job_id, entry.manifest.metrics) == (job_id, {"eval_loss": 0.1})
    assert "| Steps | 10 |\n| Tokens | 1,000 |\n| Epochs | 1 |" in (entry.path / "README.md").read_text()
    assert jobs_client.get("/v1/models/mine").json()["job_id"] == job_id
    assert post(job_id, "checkpoints/ftckpt-none/publish", status=404)["param"] == "checkpoint"


@pytest.mark.parametrize("limit", ['{"deadline": 1e999}', '{"max_wall_minutes": 1e999}', '{"max_wall_minutes": 1e308}'])
def test_a_time_that_no_clock_shows_is_refused(make_job: MakeJob, jobs_client: TestClient, limit: str) -> None:
    job_id = make_job()
    jobs_client.post(f"{PATH}/{job_id}/cancel")
    answer = jobs_client.post(f"{PATH}/{job_id}/retry", content=limit, headers={"content-type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert jobs_client.get(f"{PATH}/{job_id}").json()["status"] == "cancelled"


def test_a_damaged_checkpoint_is_not_published(
    post: Post, make_job: MakeJob, jobs: JobSystem, store: ModelStore, tmp_path: Path
) -> None:
    job_id = make_job()
    checkpoint = leave_checkpoint(jobs, take(jobs), tmp_path / "var" / "jobs", 10)
    weights = next((tmp_path / "var" / "jobs" / job_id).rglob("model.safetensors"))
    weights.write_bytes(b"other")
    assert "damaged" in post(job_id, f"checkpoints/{checkpoint}/publish", status=409)["message"]
    weights.unlink()
    assert "not on the disk" in post(job_id, f"checkpoints/{checkpoint}/publish", status=409)["message"]
    assert store.versions("mine") == []


def test_a_paused_job_is_cancelled_with_its_checkpoint_published(
    post: Post, make_job: MakeJob, jobs: JobSystem, tmp_path: Path
) -> None:
    job_id = make_job()
    assert "no checkpoint" in post(job_id, "cancel", status=409, publish=True)["message"]
    claim = take(jobs)
    leave_checkpoint(jobs, claim, tmp_path / "var" / "jobs", 10)
    jobs.pause(job_id)
    jobs.queue.mark_paused(claim)
    ended = post(job_id, "cancel", publish=True)
    assert (ended["status"], ended["fine_tuned_model"]) == ("cancelled", "mine@1")


def test_a_job_is_deleted_with_its_folder(
    post: Post, make_job: MakeJob, jobs: JobSystem, jobs_client: TestClient, tmp_path: Path
) -> None:
    job_id = make_job()
    folder = tmp_path / "var" / "jobs" / job_id
    assert jobs_client.delete(f"{PATH}/{job_id}").status_code == 409
    finish(jobs, take(jobs), folder.parent)
    assert jobs_client.delete(f"{PATH}/{job_id}").json() == {
        "id": job_id,
        "object": "fine_tuning.job",
        "deleted": True,
    }
    assert not folder.exists()
    assert jobs_client.get(f"{PATH}/{job_id}").status_code == 404


def test_a_job_is_not_deleted_while_a_checkpoint_of_it_is_published(
    post: Post,
    make_job: MakeJob,
    jobs: JobSystem,
    jobs_client: TestClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job_id = make_job()
    checkpoint = finish(jobs, take(jobs), tmp_path / "var" / "jobs")
    publish, answers = ModelStore.publish, []

    def deleting(*arguments: Any, **options: Any) -> Any:
        answers.append(jobs_client.delete(f"{PATH}/{job_id}"))
        return publish(*arguments, **options)

    monkeypatch.setattr(ModelStore, "publish", deleting)
    assert post(job_id, f"checkpoints/{checkpoint}/publish")["model"] == "mine@1"
    assert answers[0].status_code == 409 and "is being published" in answers[0].json()["error"]["message"]
    assert jobs_client.delete(f"{PATH}/{job_id}").status_code == 200
    assert "no job" in post(job_id, f"checkpoints/{checkpoint}/publish", status=404)["message"]


def test_an_ended_job_needs_its_model_to_go_on_and_not_to_be_published(
    post: Post, make_job: MakeJob, jobs: JobSystem, store: ModelStore, tmp_path: Path
) -> None:
    distilled = {"type": "mlm", "mlm": {"hyperparameters": {"max_steps": 10, "tokenizer_model": "full"}}}
    failed, done = make_job(method=distilled), make_job(method=distilled)
    jobs.queue.fail(take(jobs), JobError(code="internal_error", message="no"))
    checkpoint = finish(jobs, take(jobs), tmp_path / "var" / "jobs")
    assert jobs.find_users_of(["full@1"]) == []
    store.delete("full")
    assert "full@1" in post(failed, "retry", status=404)["message"]
    assert "full@1" in post(done, "extend", status=404, max_steps=20)["message"]
    assert jobs.find_users_of(["full@1"]) == []
    assert post(done, f"checkpoints/{checkpoint}/publish")["model"] == "mine@1"


def test_a_job_that_no_worker_fits_says_so(make_job: MakeJob, jobs: JobSystem, jobs_client: TestClient) -> None:
    job_id = make_job(resources={"device": "cuda", "memory_gb": 40})
    assert jobs_client.get(f"{PATH}/{job_id}").json()["queue_reason"] == "no worker is running"
    worker = WorkerInfo(
        id="w1", host="h", machine="m", pid=7, birth=None, started_at=5.0, capabilities=Capabilities(memory_gb=8)
    )
    jobs.workers.beat(worker)
    [listed] = jobs_client.get(PATH).json()["data"]
    assert "device cuda, memory_gb 40" in listed["queue_reason"]
    [seen] = jobs_client.get("/v1/workers").json()["data"]
    assert (seen["id"], seen["status"], seen["capabilities"]["devices"]) == ("w1", "idle", ["cpu"])
    assert seen["last_seen"] > 1e9


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"resources": {"device": "tpu"}}, "resources.device"),
        ({"resources": {"gpu": 1}}, "resources.gpu"),
        ({"resources": {"nodes": 0}}, "resources.nodes"),
        ({"resources": {"nodes": 2}}, "resources.nodes"),
        ({"resources": {"gpus": 65}}, "resources.gpus"),
        ({"resources": {"gpus": 2}}, "resources.gpus"),
        ({"priority": 1001}, "priority"),
        ({"deadline": 5}, "deadline"),
        ({"max_wall_minutes": 0}, "max_wall_minutes"),
    ],
)
def test_refusals_name_the_field(jobs_client: TestClient, make_job: MakeJob, body: dict[str, Any], param: str) -> None:
    sent = jobs_client.get(f"{PATH}/{make_job()}").json()["training_file"]
    answer = jobs_client.post(PATH, json={"model": "bert-tiny", "training_file": sent, **body})
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, param)


def test_a_key_answers_even_when_the_file_is_gone(
    jobs_client: TestClient, make_job: MakeJob, jobs: JobSystem, post: Post
) -> None:
    file_id = jobs_client.get(f"{PATH}/{make_job()}").json()["training_file"]
    body, headers = {"model": "bert-tiny", "training_file": file_id}, {"Idempotency-Key": "once"}
    first = jobs_client.post(PATH, json=body, headers=headers).json()
    for job in jobs.list()[0]:
        post(job.id, "cancel")
    assert jobs_client.delete(f"/v1/files/{file_id}").status_code == 200
    assert jobs_client.post(PATH, json=body, headers=headers).json()["id"] == first["id"]
