"""An attempt in this process, with training replaced by a function."""

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from safetensors import SafetensorError

from app.errors import InvalidData
from app.jobs.artifacts import JobArtifacts
from app.jobs.connection import StorageError
from app.jobs.kinds import EvaluationSpec, JobState
from app.jobs.spec import Job
from app.jobs.worker_queue import Claim, LeaseLost, WorkerQueue
from app.training.data.cache import open_entry
from app.training.data.preparation import PreparationProgress
from app.training.hooks import Killed
from app.worker.attempt import Attempt, AttemptRunner
from app.worker.backlog import Backlog
from app.worker.pretraining import train_and_publish
from app.worker.reports import Reports
from tests.fakes.trainer import result, train
from tests.worker.conftest import AllServices

Submit = Callable[..., Job]


@pytest.fixture
def claim(services: AllServices, submit: Submit) -> Claim:
    submit()
    found = services.queue.claim("w1", 60)
    assert found is not None
    return found


def execute(services: AllServices, claim: Claim, train: Any, *, draining: bool = False) -> Job:
    AttemptRunner(services, claim, lambda: draining).run(train_and_publish(train))
    return services.jobs.get(claim.job_id)


def test_the_manifest_says_where_the_model_comes_from(services: AllServices, claim: Claim) -> None:
    job = execute(services, claim, train)
    manifest = services.store.resolve("tiny@1").manifest
    assert job.result_model == "tiny@1"
    assert (manifest.job_id, manifest.request, manifest.parents) == (job.id, {"model": "bert-tiny"}, ())
    assert manifest.data[0].sha256 == services.files.get(job.spec.training_files[0]).sha256


def test_killed_between_publication_and_success(services: AllServices, claim: Claim) -> None:
    class Dying:
        """The queue as it looks to a process that dies before it can mark its success."""

        def __getattr__(self, name: str) -> Any:
            return getattr(services.queue, name)

        def succeed(self, claim: Claim, result_model: str) -> None:
            raise StorageError("gone")

    dying: Any = replace(services, queue=Dying())  # type: ignore[arg-type]
    with pytest.raises(StorageError):
        execute(dying, claim, train)
    services.queue.requeue(claim, "The trainer died", crashed=True)
    again = services.queue.claim("w2", 60)
    assert again is not None

    def never(*_: Any) -> Any:
        raise AssertionError("trained again")

    job = execute(services, again, never)
    assert (job.state, job.result_model) == (JobState.SUCCEEDED, "tiny@1")
    assert [e.id for e in services.store.list()] == ["tiny@1"]


def test_an_attempt_that_lost_its_job_publishes_nothing(services: AllServices, claim: Claim) -> None:
    def train_too_long(attempt: Attempt, reports: Reports, services: AllServices) -> Any:
        services.queue.requeue(claim, "The worker went silent", crashed=True)
        assert services.queue.claim("w2", 60) is not None
        assert reports.should_stop() == "lost"
        with pytest.raises(LeaseLost):
            reports.fence()
        return result(attempt.folder, None)

    job = execute(services, claim, train_too_long)
    assert (job.state, job.attempt, job.result_model) == (JobState.RUNNING, 2, None)
    assert services.store.list() == []


def test_the_users_mistake_keeps_its_code(services: AllServices, claim: Claim) -> None:
    def wrong(*_: Any) -> Any:
        raise InvalidData("a.txt, line 3: no JSON", param="training_file")

    error = execute(services, claim, wrong).error
    assert error and (error.code, error.message, error.param) == (
        "invalid_data",
        "a.txt, line 3: no JSON",
        "training_file",
    )


def test_our_mistake_stays_in_the_log(services: AllServices, claim: Claim, caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("a secret detail")

    job = execute(services, claim, broken)
    assert job.state is JobState.FAILED
    assert job.error and job.error.code == "internal_error" and "RuntimeError" in job.error.message
    assert "secret" not in job.model_dump_json() and "a secret detail" in caplog.text


def fails_in_torch(folder: Path) -> None:
    try:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598")


def fails_in_safetensors(folder: Path) -> None:
    raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


def fails_in_the_cache(folder: Path) -> None:
    def fill(aside: Path) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), str(aside))

    open_entry(folder / "tokens" / "key", fill)


@pytest.mark.parametrize(
    ("write", "what"),
    [
        (fails_in_torch, ""),
        (fails_in_safetensors, ""),
        (fails_in_the_cache, ", so the prepared data (tokens) could not be written"),
    ],
)
def test_a_full_disk_is_said_to_be_full(
    services: AllServices, claim: Claim, write: Callable[[Path], None], what: str
) -> None:
    def train(attempt: Attempt, reports: Reports, services: AllServices) -> Any:
        write(attempt.folder)

    error = execute(services, claim, train).error
    assert error and (error.code, error.type) == ("insufficient_storage", "system_error")
    assert error.message == f"the disk of the worker's machine is full{what}"


def test_a_disk_without_room_for_the_lock_fails_the_job(
    services: AllServices, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    execution = AttemptRunner(services, claim, lambda: False)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", full)
        execution.run(train_and_publish(train))
    error = services.jobs.get(claim.job_id).error
    assert error and error.code == "insufficient_storage"


def test_a_run_that_lost_a_process_to_a_kill_ends_as_killed(
    services: AllServices, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dead(BaseException):
        pass

    def kill(pid: int, signum: int) -> None:
        raise Dead(pid, signum)

    def train(attempt: Attempt, reports: Reports, services: AllServices) -> Any:
        raise Killed("training processes ended early (exit code by rank: {1: -9})")

    monkeypatch.setattr(os, "kill", kill)
    with pytest.raises(Dead, match=f"{os.getpid()}, .*9"):
        execute(services, claim, train)
    assert services.jobs.get(claim.job_id).state is JobState.RUNNING  # whoever watches over the process goes on


@pytest.mark.parametrize(
    ("reason", "state"), [("drain", JobState.QUEUED), ("cancel", JobState.CANCELLED), ("pause", JobState.PAUSED)]
)
def test_a_run_may_be_stopped_before_its_first_step(
    services: AllServices, claim: Claim, reason: str, state: JobState
) -> None:
    if reason == "cancel":
        services.jobs.cancel(claim.job_id)
    elif reason == "pause":
        services.jobs.pause(claim.job_id)

    def train(attempt: Attempt, reports: Reports, services: AllServices) -> Any:
        listen = PreparationProgress(reports, "wiki.jsonl", 10)
        listen(5)
        raise AssertionError("not stopped")

    assert execute(services, claim, train, draining=reason == "drain").state is state


def test_draining_hands_back_and_cancelling_ends(services: AllServices, claim: Claim) -> None:
    assert execute(services, claim, train, draining=True).state is JobState.QUEUED
    again = services.queue.claim("w2", 60)
    assert again is not None
    services.jobs.cancel(again.job_id)
    assert execute(services, again, train).state is JobState.CANCELLED
    assert services.store.list() == []


def test_checkpoints_that_left_the_disk_leave_the_list(services: AllServices, claim: Claim) -> None:
    folder = services.settings.jobs_dir / claim.job_id
    reports = Reports(services.queue, claim, folder, lambda: False)
    paths = [folder / "checkpoints" / f"step-{n}" for n in range(3)]
    for step, path in enumerate(paths):
        path.mkdir(parents=True)
        if step == 2:
            paths[0].rmdir()
        reports.on_checkpoint(step, path, {})
    listed, _ = services.jobs.checkpoints(claim.job_id)
    assert [(c.step, Path(c.path).name) for c in listed] == [(2, "step-2"), (1, "step-1")]


class OutOfReach:
    """The queue while Redis is `away`."""

    def __init__(self, queue: WorkerQueue) -> None:
        self.queue, self.away = queue, True

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            if self.away:
                raise StorageError("gone")
            return getattr(self.queue, name)(*arguments, **options)

        return call


def test_what_is_told_while_redis_is_away_is_told_later(services: AllServices, claim: Claim) -> None:
    now, folder = [0.0], services.settings.jobs_dir / claim.job_id
    quick: Any = OutOfReach(services.queue)
    reports = Reports(services.queue, claim, folder, lambda: False, quick=quick, backlog=Backlog(lambda: now[0]))
    reports.on_event("one")
    reports.on_artifact(2, "png", b"picture")
    reports.on_checkpoint(3, folder / "checkpoints" / "step-3", {})
    assert reports.should_stop() is None and not reports.can_save()
    services.jobs.cancel(claim.job_id)  # by somebody who reaches Redis
    quick.away, now[0] = False, 100.0
    assert reports.should_stop() == "cancel" and reports.can_save()
    told = [event.message for event in services.jobs.events(claim.job_id)[0]]
    assert told[-3:] == ["one", "Step 2: step-000000002.png shows held-out items", "Saved a checkpoint at step 3"]


def test_what_waits_is_told_before_the_end(services: AllServices, claim: Claim) -> None:
    quick: Any = OutOfReach(services.queue)

    def wrong(attempt: Attempt, reports: Reports, services: AllServices) -> Any:
        reports.on_event("the last word")
        quick.away = False
        raise InvalidData("a.txt, line 3: no JSON")

    AttemptRunner(services, claim, lambda: False, quick=quick, backlog=Backlog(sleep=lambda _: None)).run(
        train_and_publish(wrong)
    )
    told = [event.message for event in services.jobs.events(claim.job_id)[0]]
    assert told[-2:] == ["the last word", "The job failed: a.txt, line 3: no JSON"]


def test_artifacts_are_kept_and_named_in_an_event(services: AllServices, claim: Claim) -> None:
    folder = services.settings.jobs_dir / claim.job_id
    reports = Reports(services.queue, claim, folder, lambda: False)
    reports.on_artifact(30, "png", b"picture")
    [data] = [event.data for event in services.jobs.events(claim.job_id)[0] if event.data]
    assert data == {"step": 30, "artifact": "step-000000030.png"}
    path = JobArtifacts(services.settings.jobs_dir, claim.job_id).path(data["artifact"])
    assert path.read_bytes() == b"picture"


def test_progress_is_written_once_a_second_and_when_flushed(services: AllServices, claim: Claim) -> None:
    reports = Reports(services.queue, claim, Path(), lambda: False, clock=lambda: 1000.0)
    for step in (1, 2, 3):
        snapshot: Any = SimpleNamespace(
            step=step, total_steps=4, tokens=step, epoch=0.0, fraction=step / 4, tokens_per_second=1.0, eta_seconds=None
        )
        reports.on_progress(snapshot)
    assert services.jobs.get(claim.job_id).progress.step == 1
    reports.flush()
    assert services.jobs.get(claim.job_id).progress.percent == 75


def test_evaluations_are_repeated_on_the_published_model(services: AllServices, claim: Claim) -> None:
    job = services.jobs.get(claim.job_id)
    values: dict[str, Any] = {"labels_per_class": ("all",), "seeds": 1, "methods": ("knn",)}
    named = EvaluationSpec(name="topics", models=("old@1",), file=job.spec.files[0][1], **values)
    earlier = services.jobs.create(named)
    spec = job.spec.model_copy(update={"evaluations": (earlier.id, "ftjob-0")})
    services.jobs.rewrite(job.id, spec=spec)

    assert execute(services, claim, train).state is JobState.SUCCEEDED
    (repeated,) = services.jobs.list(kind="evaluation", model="tiny@1")[0]
    assert (repeated.spec.name, repeated.state) == ("topics", JobState.QUEUED)
    messages = [event.message for event in services.jobs.events(job.id)[0]]
    assert f"Queued the evaluation topics of tiny@1 as {repeated.id}" in messages
    assert any(message.startswith("Cannot repeat the evaluation ftjob-0") for message in messages)
