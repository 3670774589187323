"""Sweeps in Redis: their jobs are made once, claimed like others, and ranked by their records."""

import pytest

from app.errors import Conflict
from app.jobs.connection import Client
from app.jobs.kinds import JobState, SweepChild, SweepSpec
from app.jobs.repository import JobRepository
from app.jobs.spec import Job, JobError
from app.jobs.sweeps import child_id
from app.jobs.worker_queue import Claim
from tests.fakes.jobs import JobSystem, make_spec

RATES = (1e-4, 1e-3, 1e-2)


@pytest.fixture
def jobs(redis: Client) -> JobSystem:
    return JobSystem(redis)


@pytest.fixture
def sweep(redis: Client, jobs: JobSystem) -> Job:
    children = tuple(
        SweepChild(settings={"learning_rate": rate}, model="bert-tiny", hyperparameters={"learning_rate": rate})
        for rate in RATES
    )
    base = make_spec(redis, request={"hyperparameters": {"max_steps": 10}})
    return jobs.create(SweepSpec(name="best", base=base, children=children, search="grid", seed=0), priority=3)


def take(jobs: JobSystem, kind: str = "pretraining") -> Claim:
    claim = jobs.queue.claim("w", 60, kind=kind)
    assert claim is not None
    return claim


def finish(jobs: JobSystem, loss: float, **chosen: str) -> str:
    """Has the next job succeed with this loss. Returns its id."""
    claim = take(jobs)
    jobs.rewrite(claim.job_id, chosen=chosen)
    metrics = {"step": 10, "eval_loss": loss, "eval_bits_per_character": 10 - loss}
    jobs.queue.append_event(claim, "Step 10", type="metrics", data=metrics)
    jobs.queue.succeed(claim)
    return claim.job_id


def test_jobs_are_made_once(jobs: JobSystem, sweep: Job) -> None:
    assert jobs.sweeps.create_children(sweep) == 3
    assert jobs.sweeps.create_children(sweep) == 0
    children = jobs.sweeps.children(sweep)
    assert [job.spec.name for job in children] == ["best-1", "best-2", "best-3"]
    assert [job.spec.hyperparameters for job in children] == [{"max_steps": 10, "learning_rate": r} for r in RATES]
    assert children[1].spec.request == {
        "model": "bert-tiny",
        "hyperparameters": {"max_steps": 10, "learning_rate": 1e-3},
    }
    assert {(job.priority, job.spec.sweep, job.state) for job in children} == {(3, sweep.id, JobState.QUEUED)}
    jobs.delete(jobs.cancel(children[2].id).id)
    assert jobs.sweeps.create_children(sweep) == 1  # as after a crash


def test_jobs_are_made_though_their_deadline_has_passed(jobs: JobSystem, redis: Client) -> None:
    child = SweepChild(settings={}, model="bert-tiny", hyperparameters={})
    base = make_spec(redis, deadline=1.0)
    sweep = jobs.create(SweepSpec(name="s", base=base, children=(child,), search="grid", seed=0))
    assert jobs.sweeps.create_children(sweep) == 1
    assert jobs.queue.claim("w", 60) is None
    jobs.queue.reconcile()
    assert jobs.sweeps.have_ended(sweep)


def test_a_sweep_is_claimed_when_jobs_are_missing_or_all_have_ended(jobs: JobSystem, sweep: Job) -> None:
    assert jobs.queue.claim("w", 60, kind="sweep") is None  # the server is about to create them
    jobs.rewrite(sweep.id, created_at=0.0)
    claim = take(jobs, "sweep")
    jobs.sweeps.create_children(sweep)
    jobs.queue.requeue(claim, "It waits", crashed=False)
    assert jobs.queue.claim("w", 60, kind="sweep") is None
    finish(jobs, 3.0)
    jobs.queue.fail(take(jobs), JobError(code="invalid_data", message="no"))
    assert jobs.queue.claim("w", 60, kind="sweep") is None
    jobs.cancel(child_id(sweep.id, 2))
    assert take(jobs, "sweep").job_id == sweep.id


def test_a_sweep_that_waits_for_its_jobs_is_not_counted_as_queued(jobs: JobSystem, sweep: Job) -> None:
    jobs.sweeps.create_children(sweep)
    assert jobs.count_by_state()[JobState.QUEUED] == 3
    finish(jobs, 3.0)
    jobs.cancel(sweep.id)
    counts = jobs.count_by_state()
    assert (counts[JobState.QUEUED], counts[JobState.SUCCEEDED], counts[JobState.CANCELLED]) == (2, 1, 1)


def test_jobs_are_ranked_by_loss(jobs: JobSystem, sweep: Job) -> None:
    jobs.sweeps.create_children(sweep)
    assert jobs.sweeps.rank(sweep).best is None
    worse, better = finish(jobs, 3.0, vocabulary="a"), finish(jobs, 2.0, vocabulary="a")
    ranking = jobs.sweeps.rank(sweep)
    assert (ranking.measure, ranking.best and ranking.best.id) == ("loss", better)
    assert [(child.job.id, child.rank, child.value) for child in ranking.children] == [
        (better, 1, 2.0),
        (worse, 2, 3.0),
        (child_id(sweep.id, 2), None, None),
    ]


def test_jobs_of_different_vocabularies_are_ranked_by_bits_per_character(jobs: JobSystem, sweep: Job) -> None:
    jobs.sweeps.create_children(sweep)
    finish(jobs, 3.0, vocabulary="a")
    best = finish(jobs, 4.0, vocabulary="b")
    ranking = jobs.sweeps.rank(sweep)
    assert (ranking.measure, ranking.best and ranking.best.id) == ("bits_per_character", best)


def test_a_job_that_stops_early_counts_with_its_best_evaluation(jobs: JobSystem, redis: Client) -> None:
    child = SweepChild(settings={}, model="bert-tiny", hyperparameters={"early_stopping_patience": 2})
    sweep = jobs.create(SweepSpec(name="s", base=make_spec(redis), children=(child,), search="grid", seed=0))
    jobs.sweeps.create_children(sweep)
    claim = take(jobs)
    for step, loss in enumerate((3.0, 2.0, 2.5)):
        jobs.queue.append_event(claim, "", type="metrics", data={"step": step, "eval_loss": loss})
    jobs.queue.succeed(claim)
    assert jobs.sweeps.rank(sweep).children[0].value == 2.0


def test_waiting_jobs_are_cancelled_before_running_ones(jobs: JobSystem, sweep: Job) -> None:
    jobs.sweeps.create_children(sweep)
    done = finish(jobs, 3.0)
    running = take(jobs).job_id
    jobs.sweeps.cancel_children(sweep)
    states = {job.id: job.state for job in jobs.sweeps.children(sweep)}
    assert (states[done], states[running]) == (JobState.SUCCEEDED, JobState.CANCELLING)
    assert list(states.values()).count(JobState.CANCELLED) == 1


@pytest.mark.parametrize("publish", [True, False])
def test_no_job_is_created_once_a_sweep_is_to_be_cancelled(jobs: JobSystem, sweep: Job, publish: bool) -> None:
    jobs.sweeps.create_children(sweep)
    jobs.delete(jobs.cancel(child_id(sweep.id, 2)).id)  # as if its creator had not come to it yet
    jobs.sweeps.cancel(sweep.id, publish=publish)
    assert jobs.sweeps.create_children(sweep) == 0
    after = jobs.get(sweep.id)
    assert after.state is (JobState.QUEUED if publish else JobState.CANCELLED)
    assert jobs.sweeps.is_due(after)
    assert {job.state for job in jobs.sweeps.children(sweep)} == {JobState.CANCELLED}


def test_an_interrupted_cancellation_is_recorded_and_can_be_repeated(jobs: JobSystem, sweep: Job) -> None:
    jobs.sweeps.create_children(sweep)
    jobs.rewrite(sweep.id, state=JobState.CANCELLING)  # the server died before it cancelled the jobs
    assert jobs.queue.claim("w", 60, kind="sweep") is None
    with pytest.raises(Conflict, match="without publishing"):
        jobs.sweeps.cancel(sweep.id, publish=True)
    jobs.sweeps.cancel(sweep.id, publish=False)
    assert {job.state for job in (jobs.get(sweep.id), *jobs.sweeps.children(sweep))} == {JobState.CANCELLED}


def test_a_minimum_delta_counts_as_in_the_training(jobs: JobSystem, redis: Client) -> None:
    options = {"early_stopping_patience": 2, "early_stopping_min_delta": 0.5}
    child = SweepChild(settings={}, model="bert-tiny", hyperparameters=options)
    sweep = jobs.create(SweepSpec(name="s", base=make_spec(redis), children=(child,), search="grid", seed=0))
    jobs.sweeps.create_children(sweep)
    claim = take(jobs)
    for step, loss in enumerate((1.0, 3.0, 2.7, 2.4, 2.2)):
        jobs.queue.append_event(claim, "", type="metrics", data={"step": step, "eval_loss": loss})
    assert jobs.sweeps.rank(sweep).children[0].value == 2.4


def test_a_job_that_stops_by_a_score_counts_with_the_loss_beside_the_best_score(jobs: JobSystem, redis: Client) -> None:
    options = {"early_stopping_patience": 2, "early_stopping_metric": "eval_probe"}
    child = SweepChild(settings={}, model="bert-tiny", hyperparameters=options)
    sweep = jobs.create(SweepSpec(name="s", base=make_spec(redis), children=(child,), search="grid", seed=0))
    jobs.sweeps.create_children(sweep)
    claim = take(jobs)
    for step, (loss, score) in enumerate(((4.0, 0.1), (3.0, 0.5), (2.0, 0.7), (1.0, 0.6))):
        data = {"step": step, "eval_loss": loss, "eval_probe": score}
        jobs.queue.append_event(claim, "", type="metrics", data=data)
    jobs.queue.succeed(claim)
    assert jobs.sweeps.rank(sweep).children[0].value == 2.0


def test_results_are_kept_until_the_sweep_has_ended(jobs: JobSystem, sweep: Job) -> None:
    jobs.sweeps.create_children(sweep)
    done = finish(jobs, 3.0)
    assert not jobs.retention.drop_checkpoints(done)
    assert not jobs.retention.drop_events(done)
    assert jobs.series.keys(done)
    jobs.cancel(sweep.id)
    assert jobs.retention.drop_checkpoints(done)
    assert jobs.retention.drop_events(done)
    assert not jobs.series.keys(done)
    assert jobs.sweeps.rank(sweep).children[0].value == 3.0  # the record has it


def test_a_sweep_that_waits_is_looked_at_without_the_records_of_its_jobs(
    jobs: JobSystem, sweep: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs.sweeps.create_children(sweep)
    with monkeypatch.context() as patch:
        patch.setattr(JobRepository, "read_many", lambda self, ids: pytest.fail("records are read"))
        assert not jobs.sweeps.is_due(sweep)
    for loss in (1.0, 2.0, 3.0):
        finish(jobs, loss)
    with monkeypatch.context() as patch:
        patch.setattr(JobRepository, "read_many", lambda self, ids: pytest.fail("records are read"))
        assert jobs.sweeps.is_due(sweep)


def test_a_sweep_cannot_be_paused_or_retried(jobs: JobSystem, sweep: Job) -> None:
    with pytest.raises(Conflict, match="paused; its jobs can be"):
        jobs.pause(sweep.id)
    jobs.cancel(sweep.id)
    with pytest.raises(Conflict, match="retried; its jobs can be"):
        jobs.retry(sweep.id)


def test_models_of_all_jobs_stay_until_the_sweep_has_ended(jobs: JobSystem, redis: Client) -> None:
    children = [SweepChild(settings={"model": m}, model=m, hyperparameters={}) for m in ("a@1", "b@2")]
    sweep = jobs.create(SweepSpec(name="s", base=make_spec(redis), children=children, search="grid", seed=0))
    assert jobs.find_users_of(["b@2"]) == [sweep.id]
