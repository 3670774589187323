"""What users ask of jobs, and what becomes of a job between its attempts."""

from collections.abc import Callable

import pytest

from app.errors import Conflict, FileNotFound, InvalidValue, JobNotFound
from app.jobs import transitions
from app.jobs.connection import Client
from app.jobs.files import FileStore
from app.jobs.findings import record_chosen, record_verdict
from app.jobs.indexes import DEADLINES, SEQUENCE, file_key
from app.jobs.kinds import JobState, Resources
from app.jobs.repository import Idempotency
from app.jobs.spec import Job, JobError, Progress, Verdict
from app.jobs.worker_queue import Claim
from app.jobs.workers import Capabilities, WorkerInfo, fits, queue_reason
from tests.fakes.jobs import QUEUE, JobSystem, make_spec

LEASE = 60.0
HOUR = 3600.0


@pytest.fixture
def jobs(redis: Client) -> JobSystem:
    return JobSystem(redis)


@pytest.fixture
def job(jobs: JobSystem, redis: Client) -> Job:
    return jobs.create(make_spec(redis))


def take(jobs: JobSystem) -> Claim:
    claim = jobs.queue.claim("w1", LEASE)
    assert claim is not None
    return claim


def now(redis: Client) -> float:
    return float(redis.time()[0])


def let_it_be_late(jobs: JobSystem, job: Job) -> None:
    jobs.rewrite(job.id, deadline=1.0)


def test_a_waiting_job_pauses_at_once_and_keeps_its_place(jobs: JobSystem, job: Job, redis: Client) -> None:
    later = jobs.create(make_spec(redis))
    assert jobs.pause(job.id).state is JobState.PAUSED
    assert jobs.pause(job.id).state is JobState.PAUSED
    assert take(jobs).job_id == later.id
    assert jobs.resume(job.id).queue_position == 0
    with pytest.raises(Conflict, match="is queued and cannot be resumed: only running, paused ones can"):
        jobs.resume(job.id)


def test_a_running_job_pauses_when_its_trainer_has_saved(jobs: JobSystem, job: Job) -> None:
    claim = take(jobs)
    assert jobs.pause(job.id).state is JobState.RUNNING
    assert jobs.queue.stop_requested(claim) == "pause"
    jobs.queue.mark_paused(claim)
    paused = jobs.get(job.id)
    assert (paused.state, paused.pause_requested, paused.lease_until) == (JobState.PAUSED, False, None)
    assert jobs.queue.stop_requested(claim) == "lost"
    assert jobs.resume(job.id).state is JobState.QUEUED
    assert take(jobs).attempt == 2


def test_a_request_to_pause_can_be_taken_back(jobs: JobSystem, job: Job) -> None:
    claim = take(jobs)
    jobs.pause(job.id)
    jobs.resume(job.id)
    assert jobs.queue.stop_requested(claim) is None
    jobs.queue.mark_paused(claim)  # the trainer had seen the request
    assert jobs.get(job.id).state is JobState.QUEUED


@pytest.mark.parametrize("crashed", [True, False])
def test_a_worker_that_ends_while_its_job_pauses(jobs: JobSystem, job: Job, crashed: bool) -> None:
    claim = take(jobs)
    jobs.pause(job.id)
    jobs.queue.requeue(claim, "The trainer ended", crashed=crashed)
    assert jobs.get(job.id).state is JobState.PAUSED


def test_retrying_is_counted_apart_from_crashes(jobs: JobSystem, job: Job) -> None:
    claim = take(jobs)
    jobs.queue.set_progress(claim, Progress(step=5))
    jobs.queue.fail(claim, JobError(code="internal_error", message="oops"))
    again = jobs.retry(job.id)
    assert (again.state, again.retries, again.crashes, again.error) == (JobState.QUEUED, 1, 0, None)
    assert again.finished_at is None and again.started_at
    assert take(jobs).attempt == 2
    with pytest.raises(Conflict, match="is running and cannot be retried: only failed, cancelled ones can"):
        jobs.retry(job.id)


def test_a_retry_needs_the_files(jobs: JobSystem, job: Job, redis: Client) -> None:
    jobs.cancel(job.id)
    redis.delete(file_key("file-1"))
    with pytest.raises(FileNotFound):
        jobs.retry(job.id)
    assert jobs.get(job.id).state is JobState.CANCELLED


def test_a_retried_job_holds_its_files_again(jobs: JobSystem, job: Job, redis: Client, tmp_path: object) -> None:
    jobs.cancel(job.id)
    jobs.retry(job.id)
    with pytest.raises(Conflict, match=job.id):
        FileStore(redis, tmp_path).delete("file-1")  # type: ignore[arg-type]


def test_choices_and_verdict_are_recorded_and_told_once(jobs: JobSystem, job: Job) -> None:
    claim = take(jobs)
    verdict = Verdict(learnt=False, value=7.0, baseline="bigram", baseline_value=6.0, summary="No.", advice="Go on.")
    for _ in range(2):  # an attempt that resumes says it again
        jobs.queue.change_held(claim, record_chosen({"learning_rate": 5e-4}, "Trains with learning_rate 0.0005"))
    for _ in range(2):
        jobs.queue.change_held(claim, record_verdict(verdict))
    found = jobs.get(job.id)
    assert (found.chosen, found.verdict) == ({"learning_rate": 5e-4}, verdict)
    told = [event for event in jobs.events(job.id)[0] if event.data]
    assert [(event.level, event.message) for event in told] == [
        ("info", "Trains with learning_rate 0.0005"),
        ("warn", "No. Go on."),
    ]
    jobs.queue.change_held(claim, record_chosen({"learning_rate": 1e-4}, "Trains with learning_rate 0.0001"))
    assert jobs.get(job.id).verdict is None


def test_a_finished_job_is_extended(jobs: JobSystem, job: Job) -> None:
    claim = take(jobs)
    jobs.queue.set_progress(claim, Progress(step=10))
    with pytest.raises(Conflict, match="only succeeded ones can"):
        jobs.extend(job.id, {"max_steps": 20}, {"max_steps": 20})
    jobs.queue.add_checkpoint(claim, 10, "checkpoints/10", {})
    jobs.queue.succeed(claim, "tiny@1")
    with pytest.raises(InvalidValue, match="beyond 10 already"):
        jobs.extend(job.id, {"max_steps": 10}, {"max_steps": 10})
    longer = jobs.extend(job.id, {"max_steps": 20}, {"max_steps": 20})
    assert (longer.state, longer.extensions, longer.extended_at_step) == (JobState.QUEUED, 1, 10)
    assert longer.spec.hyperparameters == {"max_steps": 20}
    assert longer.result_model == "tiny@1"


def test_a_deadline_that_was_met_does_not_bind_an_extension(jobs: JobSystem, redis: Client) -> None:
    soon = redis.time()[0] + 1000.0
    job = jobs.create(make_spec(redis, deadline=soon))
    claim = take(jobs)
    jobs.queue.add_checkpoint(claim, 10, "checkpoints/10", {})
    jobs.queue.succeed(claim, "tiny@1")
    done = jobs.get(job.id)
    for now, deadline in ((soon - 1, soon), (soon + 1, None)):
        longer = transitions.extend(done, now, hyperparameters={"max_steps": 20}, given={"max_steps": 20}).job
        assert (longer.state, longer.deadline, longer.spec.deadline) == (JobState.QUEUED, deadline, deadline)


def test_without_a_checkpoint_nothing_is_extended(jobs: JobSystem, job: Job) -> None:
    jobs.queue.succeed(take(jobs), "tiny@1")
    with pytest.raises(Conflict, match="no checkpoint"):
        jobs.extend(job.id, {"max_steps": 20}, {"max_steps": 20})


def test_priority_decides_then_age(jobs: JobSystem, redis: Client) -> None:
    low, first, second = (jobs.create(make_spec(redis), priority=p) for p in (-1, 0, 0))
    high = jobs.create(make_spec(redis), priority=7)
    assert [take(jobs).job_id for _ in range(2)] == [high.id, first.id]
    assert jobs.prioritise(low.id, 1).queue_position == 0
    assert [take(jobs).job_id for _ in range(2)] == [low.id, second.id]


def test_a_job_moves_within_the_queue(jobs: JobSystem, redis: Client) -> None:
    ids = [jobs.create(make_spec(redis), priority=p).id for p in (5, 0, 0, 0)]

    def order() -> list[str]:
        return sorted(ids, key=lambda i: jobs.get(i).queue_position or 0)

    assert jobs.move(ids[3], 1).queue_position == 1
    assert order() == [ids[0], ids[3], ids[1], ids[2]]
    assert jobs.move(ids[2], 0).priority == 5
    assert order() == [ids[2], ids[0], ids[3], ids[1]]
    assert jobs.move(ids[2], 99).priority == 0
    assert order() == [ids[0], ids[3], ids[1], ids[2]]
    claim = take(jobs)
    jobs.queue.requeue(claim, "The worker is stopping", crashed=False)
    assert order()[0] == claim.job_id == ids[0]
    take(jobs)
    with pytest.raises(Conflict, match="cannot be moved"):
        jobs.move(ids[0], 0)
    assert jobs.count_by_state()[JobState.QUEUED] == 3


def test_a_late_job_is_stopped_and_can_be_retried_with_a_new_deadline(jobs: JobSystem, redis: Client) -> None:
    job = jobs.create(make_spec(redis, deadline=now(redis) + HOUR))
    claim = take(jobs)
    let_it_be_late(jobs, job)
    assert jobs.queue.stop_requested(claim) == "deadline"
    jobs.queue.mark_late(claim)
    failed = jobs.get(job.id)
    assert failed.error and (failed.error.code, failed.error.type) == ("deadline_exceeded", "user_error")
    assert redis.zcard(DEADLINES) == 0
    assert jobs.retry(job.id).deadline == failed.spec.deadline  # which has not passed


def test_a_retry_needs_a_deadline_that_has_not_passed(jobs: JobSystem, redis: Client) -> None:
    with pytest.raises(InvalidValue, match="passed already"):
        jobs.create(make_spec(redis, deadline=1.0))
    job = jobs.create(make_spec(redis, deadline=now(redis) + HOUR))
    jobs.cancel(job.id)
    spec = job.spec.model_copy(update={"deadline": 1.0})
    jobs.rewrite(job.id, spec=spec)
    with pytest.raises(Conflict, match="deadline"):
        jobs.retry(job.id)
    with pytest.raises(InvalidValue, match="passed already"):
        jobs.retry(job.id, deadline=now(redis) - 1)
    assert jobs.retry(job.id, deadline=now(redis) + HOUR).state is JobState.QUEUED


@pytest.mark.parametrize("prepare", [lambda jobs, job: None, lambda jobs, job: jobs.pause(job.id)])
def test_waiting_jobs_fail_when_they_are_late(
    jobs: JobSystem, redis: Client, prepare: Callable[[JobSystem, Job], object]
) -> None:
    job = jobs.create(make_spec(redis, max_wall_minutes=1))
    assert job.deadline == pytest.approx(job.created_at + 60)
    prepare(jobs, job)
    let_it_be_late(jobs, job)
    assert jobs.queue.claim("w1", LEASE) is None
    jobs.queue.reconcile()
    error = jobs.get(job.id).error
    assert error and error.code == "deadline_exceeded"


def test_a_cancelled_job_that_waits_to_be_published_may_be_late(jobs: JobSystem, redis: Client) -> None:
    job = jobs.create(make_spec(redis, max_wall_minutes=1))
    claim = take(jobs)
    jobs.cancel(job.id, publish=True)
    jobs.queue.requeue(claim, "The worker is stopping", crashed=False)
    let_it_be_late(jobs, job)
    assert jobs.queue.claim("w1", LEASE) is None
    jobs.queue.reconcile()
    failed = jobs.get(job.id)
    assert failed.state is JobState.FAILED
    assert failed.error and failed.error.code == "deadline_exceeded"
    assert redis.zcard(QUEUE) == 0


def test_cancelling_with_publication_waits_for_a_worker_that_lives(jobs: JobSystem, job: Job) -> None:
    claim = take(jobs)
    jobs.cancel(job.id, publish=True)
    jobs.queue.requeue(claim, "The trainer died", crashed=False)
    waiting = jobs.get(job.id)
    assert (waiting.state, waiting.publish_requested) == (JobState.CANCELLING, True)
    again = take(jobs)
    assert jobs.queue.stop_requested(again) == "cancel"
    jobs.queue.mark_cancelled(again, "tiny@1")
    ended = jobs.get(job.id)
    assert (ended.state, ended.result_model, ended.publish_requested) == (JobState.CANCELLED, "tiny@1", False)


def test_each_crash_waits_longer(job: Job, redis: Client) -> None:
    jobs = JobSystem(redis, crash_backoff=100)
    waits = []
    for _ in range(2):
        jobs.queue.requeue(take(jobs), "The trainer died", crashed=True)
        crashed = jobs.get(job.id)
        waits.append((crashed.retry_at or 0) - redis.time()[0])
        assert jobs.queue.claim("w1", LEASE) is None
        jobs.rewrite(job.id, retry_at=None)
    assert waits == [pytest.approx(100, abs=60), pytest.approx(400, abs=60)]


def test_a_job_does_not_wait_because_its_worker_is_lost_once(job: Job, redis: Client) -> None:
    jobs = JobSystem(redis, crash_backoff=100)
    take(jobs)
    jobs.queue.reconcile(dead=["w1"])
    assert take(jobs).attempt == 2
    jobs.queue.reconcile(dead=["w1"])
    assert jobs.queue.claim("w1", LEASE) is None
    assert jobs.get(job.id).retry_at


def test_a_key_is_remembered_for_a_while(redis: Client) -> None:
    jobs = JobSystem(redis, idempotency_seconds=100)
    spec = make_spec(redis, request={"model": "bert-tiny"})
    job = jobs.create(spec, "key")
    assert 0 < redis.ttl(Idempotency("key", "", 0).redis_key) <= 100
    found = jobs.find_created("key", {"model": "bert-tiny"})
    assert found and found.id == job.id
    assert jobs.find_created("other", {"model": "bert-tiny"}) is None
    with pytest.raises(Conflict, match="another body"):
        jobs.find_created("key", {"model": "bert-mini"})


def test_a_deleted_job_leaves_nothing(jobs: JobSystem, redis: Client) -> None:
    before = set(redis.keys())
    job = jobs.create(make_spec(redis), priority=1)
    jobs.move(job.id, 0)
    claim = take(jobs)
    jobs.queue.append_event(claim, "Step 1", type="metrics", data={"step": 1, "train_loss": 1.0})
    jobs.queue.add_checkpoint(claim, 1, "checkpoints/1", {})
    with pytest.raises(Conflict, match="only succeeded, failed, cancelled ones can"):
        jobs.delete(job.id)
    jobs.queue.succeed(claim, "tiny@1")
    jobs.delete(job.id)
    with pytest.raises(JobNotFound):
        jobs.get(job.id)
    assert jobs.list() == ([], False)
    left = {k for k in set(redis.keys()) - before if b"change:" not in k and not k.startswith(b"rq:")}
    assert left <= {SEQUENCE.encode(), file_key("file-1").encode()}
    assert not any(jobs.count_by_state().values())


def test_unfinished_jobs_hold_their_models(jobs: JobSystem, redis: Client) -> None:
    distilled = {"teacher": "big@2", "tokenizer_model": "words@1", "max_steps": 10}
    first = jobs.create(make_spec(redis, model="base@3", hyperparameters=distilled))
    second = jobs.create(make_spec(redis, model="base@3"))
    jobs.create(make_spec(redis))  # from scratch
    assert jobs.find_users_of(["base@3"]) == sorted([first.id, second.id])
    for model in ("big@2", "words@1"):
        assert jobs.find_users_of([model, "base@1"]) == [first.id]
    jobs.cancel(first.id)
    jobs.pause(second.id)
    assert jobs.find_users_of(["base@3", "big@2", "words@1"]) == [second.id]
    jobs.retry(first.id)
    assert jobs.find_users_of(["big@2"]) == [first.id]
    assert jobs.find_users_of([]) == []


def test_the_key_of_a_deleted_job_is_not_used_again(jobs: JobSystem, redis: Client) -> None:
    spec = make_spec(redis, request={"model": "bert-tiny"})
    job = jobs.create(spec, "key")
    jobs.cancel(job.id)
    jobs.delete(job.id)
    with pytest.raises(Conflict, match="which is deleted"):
        jobs.find_created("key", spec.request)
    with pytest.raises(Conflict, match="which is deleted"):
        jobs.create(spec, "key")


SMALL = Capabilities(memory_gb=8, threads=2)
LARGE = Capabilities(devices=("cuda", "cpu"), memory_gb=64, gpu_memory_gb=24, threads=16)


@pytest.mark.parametrize(
    ("wanted", "small", "large"),
    [
        ({}, True, True),
        ({"device": "cpu"}, True, True),
        ({"device": "cuda"}, False, True),
        ({"device": "cuda", "memory_gb": 40}, False, False),
        ({"device": "cpu", "memory_gb": 40}, False, True),
        ({"memory_gb": 20}, False, True),
        ({"threads": 4}, False, True),
        ({"nodes": 1}, True, True),
        ({"nodes": 2}, False, False),
        ({"gpus": 2}, False, True),
    ],
)
def test_resources_are_matched(wanted: dict[str, object], small: bool, large: bool) -> None:
    resources = Resources.model_validate(wanted)
    assert (fits(resources, SMALL), fits(resources, LARGE)) == (small, large)
    assert fits(resources, SMALL.model_copy(update={"trainer": "ray"}))


def test_a_worker_takes_the_first_job_that_it_can_do(jobs: JobSystem, redis: Client) -> None:
    first = jobs.create(make_spec(redis, resources=Resources(device="cuda")))
    second = jobs.create(make_spec(redis))
    claim = jobs.queue.claim("w1", LEASE, SMALL)
    assert claim and claim.job_id == second.id
    assert jobs.queue.claim("w1", LEASE, SMALL) is None
    claim = jobs.queue.claim("w2", LEASE, LARGE)
    assert claim and claim.job_id == first.id


def test_a_job_says_why_it_waits(jobs: JobSystem, redis: Client) -> None:
    job = jobs.create(make_spec(redis, resources=Resources(device="cuda", memory_gb=40)))

    def worker(**changes: object) -> WorkerInfo:
        values = {"id": "w", "host": "h", "machine": "m", "pid": 1, "birth": None, "started_at": 0.0, **changes}
        return WorkerInfo.model_validate(values)

    assert queue_reason(job, [], 0) == "no worker is running"
    assert queue_reason(job, [worker(draining=True)], 0) == "no worker is running"
    reason = queue_reason(job, [worker(capabilities=SMALL)], 0)
    assert reason is not None and "device cuda, memory_gb 40" in reason and "cpu with 8 GB, 2 threads" in reason
    big = LARGE.model_copy(update={"gpu_memory_gb": 80.0})
    assert queue_reason(job, [worker(capabilities=big)], 0) is None
    assert queue_reason(job, [worker(capabilities=big, job_id="other")], 0) == "the workers that can do it are busy"
    crashed = job.model_copy(update={"retry_at": 10.0})
    assert queue_reason(crashed, [worker(capabilities=big)], 6) == "it waits 4 s after a crash"
