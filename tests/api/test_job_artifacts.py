from pathlib import Path

from fastapi.testclient import TestClient

from app.jobs.artifacts import JobArtifacts
from app.jobs.connection import Client
from app.jobs.jobs import Jobs
from tests.fakes.jobs import make_spec
from tests.fakes.redis import redis, redis_server  # noqa: F401


def test_artifacts_are_listed_and_downloaded(
    jobs_client: TestClient,
    jobs: Jobs,
    redis: Client,  # noqa: F811
    tmp_path: Path,
) -> None:
    job = jobs.create(make_spec(redis))
    for prefix in ("/v1/pretraining/jobs", "/v1/fine_tuning/jobs"):
        assert jobs_client.get(f"{prefix}/{job.id}/artifacts").json() == {"object": "list", "data": []}
    JobArtifacts(tmp_path / "var" / "jobs", job.id).save("step-000000010.png", b"picture")
    url = f"/v1/pretraining/jobs/{job.id}/artifacts"
    [listed] = jobs_client.get(url).json()["data"]
    assert (listed["name"], listed["bytes"]) == ("step-000000010.png", 7)
    got = jobs_client.get(f"{url}/{listed['name']}")
    assert (got.content, got.headers["content-type"]) == (b"picture", "image/png")


def test_what_is_not_there_is_404(jobs_client: TestClient, jobs: Jobs, redis: Client) -> None:  # noqa: F811
    job = jobs.create(make_spec(redis))
    for path in (
        f"{job.id}/artifacts/lock",
        f"{job.id}/artifacts/..%2Flock",
        "ftjob-no/artifacts",
        "ftjob-no/artifacts/a.png",
    ):
        assert jobs_client.get(f"/v1/pretraining/jobs/{path}").status_code == 404
