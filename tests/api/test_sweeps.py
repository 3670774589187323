"""Sweeps over HTTP: creation, the ranked list, cancelling and deletion."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.fakes.jobs import JobSystem

PATH = "/v1/sweeps"
RATES = [1e-4, 1e-3]


@pytest.fixture
def file_id(jobs_client: TestClient) -> str:
    text = b"The lions hunt the zebras near the river.\n\n" * 50
    answer = jobs_client.post("/v1/files", files={"file": ("a.txt", text)}, data={"purpose": "fine-tune"})
    return str(answer.json()["id"])


@pytest.fixture
def post(jobs_client: TestClient, file_id: str) -> Callable[..., Any]:
    def send(status: int = 200, job: dict[str, Any] | None = None, **body: Any) -> Any:
        common = {"model": "bert-tiny", "training_file": file_id, "name": "lions", **(job or {})}
        answer = jobs_client.post(PATH, json={"job": common, "parameters": {"learning_rate": RATES}, **body})
        assert answer.status_code == status, answer.text
        return answer.json() if status == 200 else answer.json()["error"]

    return send


Post = Callable[..., Any]


def test_a_sweep_queues_a_job_for_each_combination(post: Post, jobs_client: TestClient) -> None:
    made = post(
        job={"hyperparameters": {"max_steps": 5}, "metadata": {"team": "docs"}, "priority": 2},
        parameters={"learning_rate": RATES, "model": ["bert-tiny", "bert-mini"]},
    )
    assert (made["object"], made["status"], made["count"], made["ended"]) == ("sweep", "queued", 4, 0)
    assert made["parameters"] == ["learning_rate", "model"]
    assert [job["settings"] for job in made["jobs"]][1] == {"learning_rate": 1e-4, "model": "bert-mini"}
    child = jobs_client.get(f"/v1/pretraining/jobs/{made['jobs'][3]['id']}").json()
    assert (child["model"], child["sweep"], child["priority"]) == ("bert-mini", made["id"], 2)
    assert (child["hyperparameters"]["learning_rate"], child["hyperparameters"]["max_steps"]) == (1e-3, 5)
    assert (child["name"], child["metadata"]) == ("lions-4", {"team": "docs"})
    listed = jobs_client.get(PATH).json()
    assert [sweep["id"] for sweep in listed["data"]] == [made["id"]]
    events = jobs_client.get(f"{PATH}/{made['id']}/events").json()["data"]
    assert events[-1]["message"] == "Created the job and queued it"


def test_progress_and_ranks_follow_from_the_jobs(post: Post, jobs: JobSystem, jobs_client: TestClient) -> None:
    made = post()
    claim = jobs.queue.claim("w", 60)
    assert claim is not None
    jobs.queue.append_event(claim, "", type="metrics", data={"step": 1, "eval_loss": 2.5})
    running = jobs_client.get(f"{PATH}/{made['id']}").json()
    assert (running["status"], running["best"], running["jobs"][0]["value"]) == ("running", None, 2.5)
    jobs.queue.succeed(claim)
    found = jobs_client.get(f"/v1/pretraining/jobs/{made['id']}").json()  # an id is found under every path
    assert (found["best"], found["measure"], found["ended"]) == (claim.job_id, "loss", 1)
    assert found["progress"]["percent"] == 50.0
    assert [job["rank"] for job in found["jobs"]] == [1, None]


def test_the_estimate_counts_the_data_of_all_jobs_once(post: Post, jobs_client: TestClient, file_id: str) -> None:
    job = jobs_client.post("/v1/pretraining/jobs", json={"model": "bert-tiny", "training_file": file_id}).json()
    alone, sweep = job["estimate"], post()["estimate"]
    shared = alone["shared_disk_bytes"]
    assert shared > 0
    assert sweep["disk_bytes"] == 2 * (alone["disk_bytes"] - shared) + shared
    assert (sweep["shared_disk_bytes"], sweep["training_tokens"]) == (shared, 2 * alone["training_tokens"])


def test_the_estimate_counts_the_data_of_each_job_where_they_differ(
    post: Post, jobs_client: TestClient, file_id: str
) -> None:
    body = {"model": "bert-tiny", "training_file": file_id, "hyperparameters": {"vocab_size": 300}}
    alone = jobs_client.post("/v1/pretraining/jobs", json=body).json()["estimate"]
    sweep = post(parameters={"vocab_size": [300, 400]})["estimate"]
    assert sweep["disk_bytes"] == 2 * alone["disk_bytes"]


def test_only_the_jobs_of_a_sweep_are_validated(post: Post) -> None:
    alone = {"sequence_length": 512, "gradient_accumulation_steps": 16}  # batch_tokens is too small by default
    made = post(job={"hyperparameters": alone | {"n_epochs": None}}, parameters={"batch_tokens": [8192, 16384]})
    assert made["count"] == 2
    assert post(job={"hyperparameters": {"epochs": "auto"}}, parameters={"n_epochs": [1, 2]})["count"] == 2


def test_a_key_makes_one_sweep(jobs_client: TestClient, file_id: str) -> None:
    job = {"model": "bert-tiny", "training_file": file_id}
    body = {"job": job, "parameters": {"learning_rate": {"min": 1e-5, "max": 1e-2, "scale": "log"}}}
    body |= {"search": "random", "count": 3, "seed": 5}
    answers = [jobs_client.post(PATH, json=body, headers={"idempotency-key": "k"}).json() for _ in range(2)]
    assert answers[0]["id"] == answers[1]["id"]
    assert len(jobs_client.get("/v1/pretraining/jobs").json()["data"]) == 3


def test_a_sweep_is_cancelled_with_its_jobs_and_deleted_with_them(
    post: Post, jobs: JobSystem, jobs_client: TestClient
) -> None:
    made = post()
    children = [f"/v1/pretraining/jobs/{job['id']}" for job in made["jobs"]]
    assert jobs_client.delete(f"{PATH}/{made['id']}").status_code == 409
    assert jobs_client.post(f"{PATH}/{made['id']}/cancel").json()["status"] == "cancelled"
    assert {jobs_client.get(child).json()["status"] for child in children} == {"cancelled"}
    refused = jobs_client.delete(children[0])
    assert refused.status_code == 409
    assert "delete the sweep" in refused.json()["error"]["message"]
    assert jobs_client.delete(f"{PATH}/{made['id']}").status_code == 200
    assert jobs.list() == ([], False)


def test_a_sweep_that_is_to_publish_goes_on_without_its_other_jobs(post: Post, jobs_client: TestClient) -> None:
    made = post()
    left = jobs_client.post(f"{PATH}/{made['id']}/cancel", json={"publish": True}).json()
    assert (left["status"], left["ended"]) == ("queued", 2)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"parameters": {}}, "parameters"),
        ({"parameters": {"learning_rat": [1]}}, "parameters.learning_rat"),
        ({"parameters": {"learning_rate": []}}, "parameters.learning_rate.values"),
        ({"parameters": {"learning_rate": 1e-3}}, "parameters.learning_rate"),
        ({"parameters": {"learning_rate": [[1e-3]]}}, "parameters.learning_rate.values.0"),
        ({"parameters": {"learning_rate": [None, 1e-3]}}, "parameters.learning_rate.values.0"),
        ({"parameters": {"seed": [10**30]}}, "parameters.seed"),
        ({"job": {"deadline": 1.0}}, "job.deadline"),
        ({"parameters": {"learning_rate": [1e-3, 5]}}, "parameters.learning_rate"),
        ({"parameters": {"learning_rate": {"min": 1e-3, "max": 1e-4}}}, "parameters.learning_rate"),
        ({"parameters": {"learning_rate": {"min": 1e-4, "max": 1e-3}}}, "parameters.learning_rate"),
        ({"parameters": {"model": ["bert-tiny", "no-such"]}}, "parameters.model"),
        ({"parameters": {"model": [5]}}, "parameters.model"),
        ({"parameters": {"seed": [1, 2]}, "job": {"seed": 3}}, "parameters.seed"),
        ({"job": {"hyperparameters": {"learning_rate": 1e-3}}}, "parameters.learning_rate"),
        ({"parameters": {"epochs": [1, 2, 1.0]}}, "parameters.epochs"),
        ({"parameters": {"schedule": ["linear", "auto"], "seed": [1, 2]}}, "parameters.schedule"),
        ({"parameters": {"model": ["bert-tiny", "bert-mini"], "epochs": [1], "n_epochs": [2]}}, "parameters.n_epochs"),
        ({"parameters": {"n_epochs": [2]}, "job": {"hyperparameters": {"epochs": 1}}}, "parameters.n_epochs"),
        ({"parameters": {"epochs": [2]}, "job": {"hyperparameters": {"n_epochs": 1}}}, "parameters.epochs"),
        (
            {"parameters": {"batch_size": [2]}, "job": {"hyperparameters": {"batch_tokens": 512}}},
            "parameters.batch_size",
        ),
        ({"parameters": {"batch_size": [8, -1]}}, "parameters.batch_size"),
        ({"parameters": {"n_epochs": [8, True]}}, "parameters.n_epochs"),
        ({"parameters": {"learning_rate": ["1e-3"]}}, "parameters.learning_rate"),
        ({"job": {"hyperparameters": {"max_steps": -1}}}, "job.hyperparameters.max_steps"),
        ({"job": {"training_file": "file-none"}}, "job.training_file"),
        ({"job": {"name": "a/../b"}}, "job.name"),
        ({"job": {"name": "x" * 125}}, "job.name"),
        ({"job": {"hyperparameters": {"find_lr": True}}}, "job.hyperparameters.find_lr"),
        ({"search": "random"}, "count"),
        ({"search": "bayes"}, "search"),
        ({"parameters": {"seed": list(range(65))}}, "parameters"),
    ],
)
def test_an_error_names_its_field(post: Post, body: dict[str, Any], param: str) -> None:
    job = body.pop("job", {})
    status = 404 if "none" in str(job) or "no-such" in str(body) else 422
    error = post(status, job=job, **body)
    assert error["param"] == param
    assert "`hyperparameters." not in error["message"]
