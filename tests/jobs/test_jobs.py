from concurrent.futures import ThreadPoolExecutor

import pytest

from app.errors import Conflict, FileNotFound, InvalidValue, JobNotFound
from app.jobs.connection import Client
from app.jobs.indexes import LEASES
from app.jobs.kinds import JobState
from app.jobs.spec import Job, JobError, Progress
from app.jobs.transitions import MAX_CRASHES
from app.jobs.worker_queue import Claim, LeaseLost
from app.jobs.workers import WorkerInfo
from tests.fakes.jobs import JobSystem, make_spec

LEASE = 60.0


@pytest.fixture
def jobs(redis: Client) -> JobSystem:
    return JobSystem(redis, crash_backoff=0)


@pytest.fixture
def job(jobs: JobSystem, redis: Client) -> Job:
    return jobs.create(make_spec(redis))


@pytest.fixture
def claim(jobs: JobSystem, job: Job) -> Claim:
    found = jobs.queue.claim("w1", LEASE)
    assert found is not None
    return found


def messages(jobs: JobSystem, job_id: str) -> list[str]:
    return [e.message for e in jobs.events(job_id, limit=100)[0]]


def test_a_created_job_is_queued_with_its_place(jobs: JobSystem, redis: Client) -> None:
    first, second = jobs.create(make_spec(redis)), jobs.create(make_spec(redis))
    assert (first.state, first.queue_position) == (JobState.QUEUED, 0)
    assert second.queue_position == 1
    assert second.created_at >= first.created_at > 1e9
    assert jobs.count_by_state()[JobState.QUEUED] == 2


def test_a_job_needs_its_files(jobs: JobSystem, redis: Client) -> None:
    with pytest.raises(FileNotFound, match="file-9") as error:
        jobs.create(make_spec(redis, validation_file="file-9"))
    assert error.value.param == "validation_file"
    assert jobs.list() == ([], False)


def test_an_unknown_job(jobs: JobSystem) -> None:
    for call in (jobs.get, jobs.cancel, jobs.events, jobs.checkpoints):
        with pytest.raises(JobNotFound):
            call("ftjob-0")


def test_an_idempotency_key_creates_once(jobs: JobSystem, redis: Client) -> None:
    spec = make_spec(redis, request={"model": "bert-tiny"})
    first = jobs.create(spec, "key")
    assert jobs.create(spec.model_copy(update={"model": "resolved-anew@2"}), "key").id == first.id
    with pytest.raises(Conflict, match=first.id):
        jobs.create(spec.model_copy(update={"request": {"model": "bert-mini"}}), "key")
    assert len(jobs.list()[0]) == 1


def test_concurrent_creation_under_one_key(jobs: JobSystem, redis: Client) -> None:
    spec = make_spec(redis)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: jobs.create(spec, "key").id, range(16)))
    assert len(set(made)) == 1
    assert jobs.count_by_state()[JobState.QUEUED] == 1


def test_list_pages_newest_first_and_filters(jobs: JobSystem, redis: Client) -> None:
    made = [jobs.create(make_spec(redis, metadata={"odd": str(n % 2)})).id for n in range(5)]
    page, more = jobs.list(limit=2)
    assert ([j.id for j in page], more) == (made[:2:-1], True)
    page, more = jobs.list(after=made[1], limit=2)
    assert ([j.id for j in page], more) == ([made[0]], False)
    page, more = jobs.list(metadata={"odd": "1"})
    assert ([j.id for j in page], more) == ([made[3], made[1]], False)
    with pytest.raises(JobNotFound):
        jobs.list(after="ftjob-0")


def test_each_job_is_claimed_once_in_order(jobs: JobSystem, redis: Client) -> None:
    made = [jobs.create(make_spec(redis)).id for _ in range(12)]
    with ThreadPoolExecutor(6) as pool:
        claims = [c for c in pool.map(lambda n: jobs.queue.claim(f"w{n}", LEASE), range(16)) if c]
    assert sorted(c.job_id for c in claims) == sorted(made)
    assert all(c.attempt == 1 for c in claims)
    assert jobs.count_by_state()[JobState.RUNNING] == 12
    assert jobs.queue.claim("w", LEASE) is None


def test_a_claim_is_recorded_and_renewed(jobs: JobSystem, claim: Claim) -> None:
    job = jobs.get(claim.job_id)
    assert (job.state, job.attempt, job.worker, job.queue_position) == (JobState.RUNNING, 1, "w1", None)
    assert job.started_at and job.lease_until
    assert jobs.queue.heartbeat(claim, 2 * LEASE).lease_until == pytest.approx(job.lease_until + LEASE, abs=30)


def test_a_job_succeeds(jobs: JobSystem, claim: Claim) -> None:
    jobs.queue.set_progress(claim, Progress(percent=40, step=4, tokens=400))
    jobs.queue.succeed(claim, "tiny@1")
    job = jobs.get(claim.job_id)
    assert (job.state, job.result_model, job.lease_until) == (JobState.SUCCEEDED, "tiny@1", None)
    assert (job.progress.percent, job.progress.tokens) == (100, 400)
    assert job.finished_at and job.started_at and job.finished_at >= job.started_at
    assert jobs.count_by_state() == {s: int(s is JobState.SUCCEEDED) for s in JobState}


def test_a_failure_keeps_its_error(jobs: JobSystem, claim: Claim) -> None:
    error = JobError(code="invalid_data", message="line 3 is no JSON", param="training_file")
    jobs.queue.fail(claim, error)
    assert jobs.get(claim.job_id).error == error
    assert jobs.events(claim.job_id, order="desc")[0][0].level == "error"


def test_cancel_before_during_and_after(jobs: JobSystem, redis: Client) -> None:
    waiting = jobs.create(make_spec(redis))
    assert jobs.cancel(waiting.id).state is JobState.CANCELLED
    assert jobs.queue.claim("w1", LEASE) is None
    jobs.create(make_spec(redis))
    claim = jobs.queue.claim("w1", LEASE)
    assert claim and jobs.queue.stop_requested(claim) is None
    assert jobs.cancel(claim.job_id).state is JobState.CANCELLING
    assert jobs.cancel(claim.job_id).state is JobState.CANCELLING
    assert jobs.queue.stop_requested(claim) == "cancel"
    jobs.queue.mark_cancelled(claim)
    with pytest.raises(Conflict, match="already been cancelled"):
        jobs.cancel(claim.job_id)
    assert len(messages(jobs, claim.job_id)) == 4


def test_a_job_handed_back_keeps_its_place(jobs: JobSystem, claim: Claim, redis: Client) -> None:
    later = jobs.create(make_spec(redis))
    assert jobs.queue.requeue(claim, "The worker is stopping", crashed=False).state is JobState.QUEUED
    assert jobs.get(claim.job_id).queue_position == 0
    assert jobs.get(later.id).queue_position == 1
    again = jobs.queue.claim("w2", LEASE)
    assert again == Claim(claim.job_id, 2)
    assert jobs.get(claim.job_id).crashes == 0


def test_a_stale_claim_can_write_nothing(jobs: JobSystem, claim: Claim, redis: Client) -> None:
    jobs.rewrite(claim.job_id, lease_until=1.0)
    jobs.queue.reconcile()
    current = jobs.queue.claim("w2", LEASE)
    assert current
    before = jobs.get(claim.job_id)
    events = messages(jobs, claim.job_id)
    for write in (
        lambda: jobs.queue.heartbeat(claim, LEASE),
        lambda: jobs.queue.check(claim),
        lambda: jobs.queue.set_progress(claim, Progress(step=9)),
        lambda: jobs.queue.append_event(claim, "late"),
        lambda: jobs.queue.add_checkpoint(claim, 9, "checkpoints/9", {}),
        lambda: jobs.queue.forget_checkpoints(claim, [9]),
        lambda: jobs.queue.succeed(claim, "tiny@1"),
        lambda: jobs.queue.fail(claim, JobError(code="x", message="x")),
        lambda: jobs.queue.mark_cancelled(claim),
        lambda: jobs.queue.requeue(claim, "late", crashed=True),
    ):
        with pytest.raises(LeaseLost):
            write()
    assert jobs.queue.stop_requested(claim) == "lost"
    assert jobs.get(claim.job_id) == before
    assert messages(jobs, claim.job_id) == events
    jobs.queue.check(current)


def test_a_claim_of_a_deleted_job_is_lost(jobs: JobSystem, claim: Claim) -> None:
    jobs.queue.succeed(claim, "tiny@1")
    jobs.delete(claim.job_id)  # while its trainer is still exiting
    with pytest.raises(LeaseLost):
        jobs.queue.heartbeat(claim, LEASE)
    with pytest.raises(LeaseLost):
        jobs.queue.requeue(claim, "The trainer died", crashed=True)


def test_jobs_that_are_deleted_meanwhile_stop_no_round(jobs: JobSystem, claim: Claim, redis: Client) -> None:
    redis.zadd(LEASES, {"ftjob-0": 0.0})  # as if read before the deletion
    jobs.rewrite(claim.job_id, lease_until=1.0)
    jobs.queue.reconcile()
    assert jobs.get(claim.job_id).state is JobState.QUEUED


def test_reconcile_leaves_live_leases_alone(jobs: JobSystem, claim: Claim) -> None:
    jobs.queue.reconcile()
    assert jobs.get(claim.job_id).state is JobState.RUNNING


def test_a_job_of_a_dead_worker_does_not_wait_for_its_lease(jobs: JobSystem, claim: Claim) -> None:
    jobs.queue.reconcile(dead=["w0"])
    assert jobs.get(claim.job_id).state is JobState.RUNNING
    jobs.queue.reconcile(dead=["w1"])
    assert jobs.get(claim.job_id).state is JobState.QUEUED


def test_a_job_that_kills_its_workers_fails(jobs: JobSystem, job: Job, redis: Client) -> None:
    for _ in range(MAX_CRASHES):
        assert jobs.queue.claim("w", LEASE)
        jobs.rewrite(job.id, lease_until=1.0)
        jobs.queue.reconcile(lambda job: f"log of attempt {job.attempt}")
    failed = jobs.get(job.id)
    assert failed.state is JobState.FAILED and failed.error
    assert failed.error.code == "poisoned"
    assert "log of attempt 3" in failed.error.message


def test_a_new_checkpoint_forgives_crashes(jobs: JobSystem, job: Job, redis: Client) -> None:
    for n in range(MAX_CRASHES + 2):
        claim = jobs.queue.claim("w", LEASE)
        assert claim
        jobs.queue.add_checkpoint(claim, n, f"checkpoints/{n}", {"valid_loss": 1.0})
        jobs.queue.requeue(claim, "The trainer was killed", crashed=True)
    assert jobs.get(job.id).state is JobState.QUEUED


def test_a_silent_worker_of_a_cancelled_job_ends_it(jobs: JobSystem, claim: Claim, redis: Client) -> None:
    jobs.cancel(claim.job_id)
    jobs.rewrite(claim.job_id, lease_until=1.0)
    jobs.queue.reconcile()
    assert jobs.get(claim.job_id).state is JobState.CANCELLED


def test_a_lost_wake_up_is_sent_again(jobs: JobSystem, job: Job, redis: Client) -> None:
    jobs.lose_wakeups()
    jobs.queue.reconcile()
    jobs.queue.reconcile()
    assert jobs.waiting_wakeups() == 1


def test_as_many_wake_ups_are_sent_again_as_there_are_idle_workers(jobs: JobSystem, redis: Client) -> None:
    for _ in range(5):
        jobs.create(make_spec(redis))
    jobs.lose_wakeups()
    for name, doing in {"a": {}, "b": {}, "c": {"job_id": "ftjob-0"}, "d": {"draining": True}}.items():
        jobs.workers.beat(WorkerInfo(id=name, host="h", machine="m", pid=1, birth=None, started_at=0, **doing))
    jobs.queue.reconcile()
    jobs.queue.reconcile()
    assert jobs.waiting_wakeups() == 2


def test_events_page_in_both_orders(jobs: JobSystem, claim: Claim) -> None:
    for n in range(3):
        jobs.queue.append_event(claim, f"event {n}")
    everything, more = jobs.events(claim.job_id)
    assert not more and len({e.id for e in everything}) == 5
    page, more = jobs.events(claim.job_id, after=everything[1].id, limit=2)
    assert [e.message for e in page] == ["event 0", "event 1"] and more
    page, more = jobs.events(claim.job_id, after=everything[1].id, limit=2, order="desc")
    assert [e.id for e in page] == [everything[0].id] and not more
    with pytest.raises(InvalidValue) as error:
        jobs.events(claim.job_id, after="ftevent-other-1-0")
    assert error.value.param == "after"


def test_metrics_of_a_step_are_reported_once(jobs: JobSystem, claim: Claim) -> None:
    def report(current: Claim, step: int, name: str) -> None:
        jobs.queue.append_event(current, f"{name} {step}", type="metrics", data={"step": step, name: 0.5})

    report(claim, 10, "train_loss")
    report(claim, 10, "valid_loss")
    report(claim, 20, "train_loss")
    jobs.queue.requeue(claim, "The worker is stopping", crashed=False)
    again = jobs.queue.claim("w2", LEASE)
    assert again
    for step in (10, 20, 30):
        report(again, step, "train_loss")
    metrics = [e.message for e in jobs.events(claim.job_id, limit=100)[0] if e.type == "metrics"]
    assert metrics == ["train_loss 10", "valid_loss 10", "train_loss 20", "train_loss 30"]


def test_checkpoints_are_listed_newest_first(jobs: JobSystem, claim: Claim) -> None:
    for step in (10, 20, 30):
        jobs.queue.add_checkpoint(claim, step, f"checkpoints/{step}", {"valid_loss": 1 / step})
    jobs.queue.add_checkpoint(claim, 30, "checkpoints/30", {"valid_loss": 0.5})
    jobs.queue.forget_checkpoints(claim, [10])
    page, more = jobs.checkpoints(claim.job_id, limit=1)
    assert [(c.step, c.metrics) for c in page] == [(30, {"valid_loss": 0.5})] and more
    page, more = jobs.checkpoints(claim.job_id, after=page[0].id)
    assert [c.step for c in page] == [20] and not more
    with pytest.raises(InvalidValue):
        jobs.checkpoints(claim.job_id, after="nonsense")
