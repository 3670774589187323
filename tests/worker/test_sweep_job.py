"""A sweep and its jobs from the worker's side, with training replaced by a function."""

from collections.abc import Callable

from app.jobs.kinds import JobState, PretrainingSpec, SweepChild, SweepSpec
from app.jobs.spec import Job
from app.store.store import ModelEntry
from app.training.hooks import Stopped
from app.worker.attempt import Attempt, AttemptRunner, AttemptServices, Execute
from app.worker.pretraining import train_and_publish
from app.worker.reports import Reports
from app.worker.sweep_job import execute
from tests.fakes.trainer import train
from tests.worker.conftest import AllServices

Submit = Callable[..., Job]


def work(services: AllServices, kind: str, execute: Execute) -> Job:
    claim = services.queue.claim("w", 60, kind=kind)
    assert claim is not None
    AttemptRunner(services, claim, lambda: False).run(execute)
    return services.jobs.get(claim.job_id)


def train_child(services: AllServices, loss: float) -> Job:
    claim = services.queue.claim("w", 60)
    assert claim is not None
    services.queue.append_event(claim, "", type="metrics", data={"step": 99, "eval_loss": loss})
    AttemptRunner(services, claim, lambda: False).run(train_and_publish(train))
    return services.jobs.get(claim.job_id)


def create(services: AllServices, submit: Submit, *settings: dict[str, object], model: str = "bert-tiny") -> Job:
    base = submit().spec
    services.jobs.cancel(services.jobs.list()[0][0].id)
    assert isinstance(base, PretrainingSpec)
    children = tuple(SweepChild(settings=each, model=model, hyperparameters=each) for each in settings)
    sweep = services.jobs.create(SweepSpec(name="best", base=base, children=children, search="grid", seed=0))
    return services.jobs.rewrite(sweep.id, created_at=0.0)  # as if the server had died before it created the jobs


def test_the_best_model_is_published_under_the_name_of_the_sweep(services: AllServices, submit: Submit) -> None:
    create(services, submit, {"max_steps": 2}, {"max_steps": 4}, {"error": "user"})
    assert work(services, "sweep", execute).state is JobState.QUEUED  # it has queued its jobs, and waits
    for loss in (3.0, 2.0):
        job = train_child(services, loss)
        assert (job.state, job.result_model) == (JobState.SUCCEEDED, None)
    assert services.store.list() == []
    assert work(services, "pretraining", train_and_publish(train)).state is JobState.FAILED
    sweep = work(services, "sweep", execute)
    assert (sweep.state, sweep.result_model) == (JobState.SUCCEEDED, "best@1")
    manifest = services.store.resolve("best@1").manifest
    best = services.jobs.sweeps.rank(sweep).best
    assert best is not None
    assert best.spec.name == "best-2"
    assert (manifest.job_id, manifest.request["hyperparameters"]) == (best.id, {"max_steps": 4})
    assert [entry.id for entry in services.store.list()] == ["best@1"]


def test_a_job_that_goes_on_after_its_sweep_publishes_itself(services: AllServices, submit: Submit) -> None:
    create(services, submit, {"max_steps": 2}, {"max_steps": 4}, model="base@1")
    work(services, "sweep", execute)
    first, second = train_child(services, 3.0), train_child(services, 2.0)
    services.jobs.extend(first.id, {"max_steps": 4}, {"max_steps": 4})
    first = work(services, "pretraining", train_and_publish(train))
    assert (first.state, first.result_model) == (JobState.SUCCEEDED, None)  # the sweep goes on
    assert work(services, "sweep", execute).result_model == "best@1"
    services.jobs.extend(second.id, {"max_steps": 6}, {"max_steps": 6})
    second = work(services, "pretraining", train_and_publish(train))
    assert (second.state, second.result_model) == (JobState.SUCCEEDED, "best-2@1")
    assert services.store.resolve("best-2@1").manifest.parents == ("base@1",)


def test_a_sweep_finds_what_an_earlier_attempt_has_published(services: AllServices, submit: Submit) -> None:
    sweep = create(services, submit, {"max_steps": 2}, {"max_steps": 4})
    work(services, "sweep", execute)
    train_child(services, 2.0)

    def dies(attempt: Attempt, reports: Reports, services: AttemptServices) -> ModelEntry:
        execute(attempt, reports, services)
        raise Stopped("drain")

    def never(attempt: Attempt, reports: Reports, services: AttemptServices) -> ModelEntry:
        raise AssertionError

    services.jobs.sweeps.cancel(sweep.id, publish=True)
    assert work(services, "sweep", dies).state is JobState.QUEUED
    sweep = work(services, "sweep", never)
    assert (sweep.state, sweep.result_model) == (JobState.SUCCEEDED, "best@1")
    assert services.store.resolve("best@1").manifest.publication_id == sweep.id


def test_a_sweep_that_is_to_publish_and_has_no_result_is_cancelled(services: AllServices, submit: Submit) -> None:
    sweep = create(services, submit, {"max_steps": 2}, {"max_steps": 4})
    services.jobs.sweeps.cancel(sweep.id, publish=True)
    sweep = work(services, "sweep", execute)
    assert (sweep.state, sweep.error, sweep.result_model) == (JobState.CANCELLED, None, None)
    assert services.jobs.sweeps.children(sweep) == []


def test_a_worker_ends_a_sweep_that_is_cancelled_meanwhile(services: AllServices, submit: Submit) -> None:
    create(services, submit, {"max_steps": 2})

    def interrupted(attempt: Attempt, reports: Reports, services: AttemptServices) -> ModelEntry:
        services.queue.sweeps.create_children(attempt.job)
        services.queue.sweeps.cancel(attempt.job.id, publish=False)
        return execute(attempt, reports, services)

    sweep = work(services, "sweep", interrupted)
    assert {job.state for job in (sweep, *services.jobs.sweeps.children(sweep))} == {JobState.CANCELLED}


def test_a_sweep_without_a_result_fails_with_the_first_error(services: AllServices, submit: Submit) -> None:
    create(services, submit, {"error": "user"})
    work(services, "sweep", execute)
    work(services, "pretraining", train_and_publish(train))
    sweep = work(services, "sweep", execute)
    assert sweep.state is JobState.FAILED
    assert sweep.error is not None
    assert "line 3 is no JSON" in sweep.error.message
    assert sweep.error.type == "user_error"
