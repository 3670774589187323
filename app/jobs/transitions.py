"""Transitions of a job's record: requests of users and events in its life.

Pure functions of (record, Redis time, …) → Change, which `JobRepository.change` applies in one
transaction. They refuse by raising Conflict; ACTIONS and TRANSITIONS say what is allowed where.
"""

from collections.abc import Callable, Mapping
from typing import Any

from app.errors import Conflict, InvalidValue
from app.jobs.events import Level, NewEvent
from app.jobs.kinds import JobState
from app.jobs.repository import Change
from app.jobs.spec import Job, JobError, check_action, pretraining_spec

MAX_CRASHES = 3  # in a row without a new checkpoint: then the job is what kills its workers
CRASH_BACKOFF = 1.0  # seconds of the first pause after a crash; each further one is four times as long


def create(job: Job, now: float) -> Change:
    """Queues a new job. Raises InvalidValue if its deadline has passed."""
    check_deadline(first_deadline(job, now), now)
    return create_child(job, now)


def create_child(job: Job, now: float) -> Change:
    """Queues a new job of a sweep. If its deadline has passed, it fails later: its sweep is there already."""
    created = replace(job, created_at=now, deadline=first_deadline(job, now))
    return Change(created, [NewEvent("Created the job and queued it")])


def start(job: Job, now: float, worker_id: str, lease_seconds: float) -> Change:
    """Gives a job that waits to a worker. A job that is being cancelled stays so: its worker only publishes."""
    update: dict[str, Any] = {
        "attempt": job.attempt + 1,
        "worker": worker_id,
        "lease_until": now + lease_seconds,
        "started_at": job.started_at or now,
        "retry_at": None,
    }
    word = "Started" if job.attempt == 0 else f"Started attempt {job.attempt + 1}"
    state = JobState.RUNNING if job.state is JobState.QUEUED else job.state
    return move_to(job, state, f"{word} on worker {worker_id}", **update)


def replace(job: Job, **update: Any) -> Job:
    return job.model_copy(update=update)


def move_to(job: Job, state: JobState, message: str, level: Level = "info", **update: Any) -> Change:
    return Change(replace(job, state=state, **update), [NewEvent(message, level)])


def end(job: Job, now: float, state: JobState, message: str, level: Level = "info", **update: Any) -> Change:
    return move_to(job, state, message, level, **{**_FREE, "finished_at": now, **update})


def fail(job: Job, now: float, error: JobError) -> Change:
    return end(job, now, JobState.FAILED, f"The job failed: {error.message}", "error", error=error)


# Fields of a job that no worker holds.
_FREE: dict[str, Any] = {
    "lease_until": None,
    "retry_at": None,
    "pause_requested": False,
    "publish_requested": False,
    "estimated_finish": None,
}


def cancel(job: Job, now: float, *, publish: bool, published: str | None) -> Change:
    """published: what the caller has published of a job that is not running."""
    check_action(job, "cancel")
    if publish:
        check_action(job, "publish")
    if job.state is JobState.CANCELLING:
        return Change(replace(job, publish_requested=job.publish_requested or publish))
    if job.state is JobState.RUNNING:
        text = "Cancelling: the job stops at its next step"
        if publish:
            text += ", and its last checkpoint is published"
        return move_to(job, JobState.CANCELLING, text, publish_requested=publish, pause_requested=False)
    text = f"Cancelled: published {published}" if published else "Cancelled before it ran"
    return end(job, now, JobState.CANCELLED, text, result_model=published or job.result_model)


def close_sweep(job: Job, now: float, *, publish: bool) -> Change:
    """Records that a sweep is to be cancelled, before its jobs are. It gets no further jobs from then on.

    publish: it goes on, and publishes the best of its jobs that have succeeded.
    """
    check_action(job, "cancel")
    if not publish:
        if job.state is JobState.CANCELLING:
            return Change(job)
        return move_to(job, JobState.CANCELLING, "Cancelling the jobs of the sweep", publish_requested=False)
    if job.state is JobState.CANCELLING:
        raise Conflict(f"job '{job.id}' is being cancelled already, without publishing a model", param="publish")
    text = "Cancelling the jobs of the sweep: the best of those that have succeeded is published"
    return Change(replace(job, publish_requested=True), [] if job.publish_requested else [NewEvent(text)])


def end_closed_sweep(job: Job, now: float) -> Change:
    """Ends a sweep whose jobs are cancelled, unless a worker holds it, which ends it."""
    if job.state is not JobState.CANCELLING or job.lease_until is not None:
        return Change(job)
    return end(job, now, JobState.CANCELLED, "Cancelled")


def pause(job: Job, now: float) -> Change:
    """A running job saves a checkpoint first; asking twice is not an error."""
    check_action(job, "pause")
    if job.state is JobState.PAUSED or job.pause_requested:
        return Change(job)
    if job.state is JobState.RUNNING:
        text = "Pausing: the job saves a checkpoint at its next step and frees its worker"
        return Change(replace(job, pause_requested=True), [NewEvent(text)])
    return move_to(job, JobState.PAUSED, "Paused", retry_at=None)


def mark_paused(job: Job) -> Change:
    """The trainer of a job that was asked to pause has saved its checkpoint."""
    return move_to(job, JobState.PAUSED, f"Paused at step {job.progress.step}", worker=None, **_FREE)


def resume(job: Job, now: float) -> Change:
    check_action(job, "resume")
    if job.state is JobState.RUNNING:
        if not job.pause_requested:
            raise Conflict(f"job '{job.id}' is running and has not been asked to pause")
        return Change(replace(job, pause_requested=False), [NewEvent("Continues: the request to pause was withdrawn")])
    return move_to(job, JobState.QUEUED, "Resumed: queued again", crashes=0)


def retry(job: Job, now: float, *, deadline: float | None) -> Change:
    check_action(job, "retry")
    text = f"Retried: queued again, from step {job.progress.step}"
    return _requeue(job, now, text, deadline, retries=job.retries + 1)


def extend(job: Job, now: float, *, hyperparameters: Mapping[str, Any], given: Mapping[str, Any]) -> Change:
    """hyperparameters: with the new limits in the place of the old; given: those limits alone.

    A deadline that the job has met, and that has passed since, does not bind its extension.
    """
    check_action(job, "extend")
    spec = pretraining_spec(job)
    done = {"max_steps": job.progress.step, "max_tokens": job.progress.tokens, "epochs": job.progress.epoch}
    for name, limit in given.items():
        if limit <= done.get(name, spec.hyperparameters.get(name) or 0):
            raise InvalidValue(
                f"`{name}` is the new limit of the whole job, which is beyond {limit} already", param=name
            )
    update: dict[str, Any] = {
        "hyperparameters": dict(hyperparameters),
        "request": {**spec.request, "extended": dict(given)},
    }
    if spec.deadline is not None and spec.deadline <= now:
        update["deadline"] = None
    job = replace(job, spec=spec.model_copy(update=update), extensions=job.extensions + 1)
    wanted = ", ".join(f"{name} {limit}" for name, limit in given.items())
    return _requeue(job, now, f"Extended to {wanted}: queued again", None, extended_at_step=job.progress.step)


def prioritise(job: Job, now: float, *, priority: int) -> Change:
    check_action(job, "prioritise")
    return Change(replace(job, priority=priority), [NewEvent(f"Priority {job.priority} became {priority}")])


def poisoned(reason: str, crashes: int, last_lines: str) -> JobError:
    return JobError(code="poisoned", message=_last_crash(reason, crashes, last_lines))


def out_of_memory(reason: str, crashes: int, last_lines: str) -> JobError:
    message = f"{_last_crash(reason, crashes, last_lines)}\nUse a smaller model, shorter samples or fewer at a time"
    return JobError(code="out_of_memory", message=message, type="user_error")


def hand_back(
    job: Job,
    now: float,
    reason: str,
    *,
    crashed: bool,
    backoff: float = CRASH_BACKOFF,
    last_lines: str = "",
    error: Callable[[str, int, str], JobError] = poisoned,
) -> Change:
    """An attempt is over, and its job is not: to the queue, or to where it was meant to go.

    error: of its last crash, made of the reason, the number of crashes and the last lines of the log.
    """
    if job.state is JobState.CANCELLING and not job.publish_requested:
        return end(job, now, JobState.CANCELLED, f"Cancelled. {reason}")
    if is_late(job, now):
        return fail(job, now, deadline_exceeded(job))
    crashes = job.crashes + crashed
    if crashes >= MAX_CRASHES:
        return fail(replace(job, crashes=crashes), now, error(reason, crashes, last_lines))
    retry_at = now + backoff * 4 ** (crashes - 1) if crashed else None
    update = {"crashes": crashes, "retry_at": retry_at, "lease_until": None, "worker": None, "estimated_finish": None}
    level: Level = "warn" if crashed else "info"
    if job.pause_requested:
        update |= {"retry_at": None, "pause_requested": False}
        return move_to(job, JobState.PAUSED, f"{reason}; paused at its last checkpoint", level, **update)
    if job.state is JobState.CANCELLING:  # waits for a worker that publishes what there is
        return move_to(job, JobState.CANCELLING, f"{reason}; its last checkpoint is to be published", level, **update)
    wait = f" after {retry_at - now:g} s" if retry_at and retry_at > now else ""
    return move_to(job, JobState.QUEUED, f"{reason}; queued again{wait}", level, **update)


def is_late(job: Job, now: float) -> bool:
    return job.deadline is not None and now >= job.deadline


def deadline_exceeded(job: Job) -> JobError:
    message = (
        f"the deadline passed at step {job.progress.step}; "
        "its last checkpoint is kept: publish it, or retry the job with a new deadline"
    )
    return JobError(code="deadline_exceeded", message=message, param="deadline", type="user_error")


def check_deadline(deadline: float | None, now: float) -> None:
    """Raises InvalidValue for a given one that has passed."""
    if deadline is not None and deadline <= now:
        raise InvalidValue("`deadline` has passed already", param="deadline")


def first_deadline(job: Job, now: float) -> float | None:
    """The earlier one of what the request names."""
    minutes = job.spec.max_wall_minutes
    return min(filter(None, (job.spec.deadline, now + minutes * 60 if minutes else None)), default=None)


def _requeue(job: Job, now: float, message: str, deadline: float | None, **update: Any) -> Change:
    """Continues an ended job from its last checkpoint."""
    check_deadline(deadline, now)
    if deadline is None and (deadline := first_deadline(job, now)) is not None and deadline <= now:
        raise Conflict(f"the deadline of job '{job.id}' has passed: give a new one", param="deadline")
    fresh = {"crashes": 0, "error": None, "finished_at": None, "worker": None, "deadline": deadline}
    return move_to(job, JobState.QUEUED, message, **{**fresh, **update})


def _last_crash(reason: str, crashes: int, last_lines: str) -> str:
    tail = f". The last lines of its log:\n{last_lines}" if last_lines else ""
    return f"{reason}; {crashes} attempts in a row died without reaching a new checkpoint{tail}"
