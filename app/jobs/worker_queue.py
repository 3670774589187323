"""The workers' side of the job system: jobs are claimed under a lease and fenced by their attempt.

Delivery is at least once, publication at most once: every claim raises `attempt`, and every write
of a worker checks it in the same transaction, so a worker that lost its job can change nothing.
"""

import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from app.errors import JobNotFound
from app.jobs import transitions
from app.jobs.connection import Client
from app.jobs.events import MANY_CHECKPOINTS, SYSTEM_PREFIX, EventLog, EventType, Level, NewEvent, checkpoint_id
from app.jobs.follow_ups import FollowUps
from app.jobs.index_repair import repair_if_due
from app.jobs.indexes import DEADLINES, LEASES, QUEUES
from app.jobs.kinds import JobState, SweepSpec
from app.jobs.repository import SCAN, Change, JobRepository
from app.jobs.spec import Checkpoint, Job, JobError, Progress
from app.jobs.sweeps import Sweeps, record_measures
from app.jobs.wakeups import Wakeups
from app.jobs.workers import Capabilities, WorkerRegistry, fits

StopReason = Literal["cancel", "pause", "deadline", "lost"]


class LeaseLost(Exception):
    """The job no longer belongs to this claim: its process must stop and write nothing."""


class Claim(NamedTuple):
    job_id: str
    attempt: int


class WorkerQueue:
    """The job system as workers see it; `Jobs` is what users see of the same records.

    Every write checks, in its transaction, that the claim still holds; else it raises LeaseLost. Every call may raise
    `connection.StorageError` while Redis is away.
    """

    def __init__(self, redis: Client, *, crash_backoff: float = transitions.CRASH_BACKOFF) -> None:
        self._redis = redis
        self._backoff = crash_backoff
        self._log = EventLog(redis)
        self._records = JobRepository(redis, self._log)
        self._wakeups = Wakeups(redis)
        self.workers = WorkerRegistry(redis)
        self.sweeps = Sweeps(redis)
        self.follow_ups = FollowUps(redis)

    def claim(
        self,
        worker_id: str,
        lease_seconds: float,
        capabilities: Capabilities | None = None,
        *,
        kind: str = "pretraining",
    ) -> Claim | None:
        """Takes the first job of this kind that the worker can do now, or None if there is none.

        capabilities: None can do everything.
        """

        def decide(job: Job, now: float) -> Change:
            if not job.waits or (job.retry_at or 0) > now or transitions.is_late(job, now):
                raise _NotNow
            return transitions.start(job, now, worker_id, lease_seconds)

        start = 0
        while ids := self._redis.zrange(QUEUES[kind], start, start + SCAN - 1):
            for job in self._records.read_many([i.decode() for i in ids]):
                if capabilities is not None and not fits(job.spec.resources, capabilities):
                    continue
                if isinstance(job.spec, SweepSpec) and not self.sweeps.is_due(job):
                    continue
                try:
                    job = self._records.change(job.id, decide)
                except (_NotNow, JobNotFound):
                    continue
                return Claim(job.id, job.attempt)
            start += SCAN
        return None

    def read(self, claim: Claim) -> Job:
        """The record of a claimed job. Raises JobNotFound."""
        return self._records.read(claim.job_id)

    def checkpoints(self, claim: Claim) -> list[Checkpoint]:
        """All checkpoints of a claimed job, newest first."""
        return self._log.checkpoints(claim.job_id, None, MANY_CHECKPOINTS)[0]

    def heartbeat(self, claim: Claim, lease_seconds: float) -> Job:
        """Renews the lease."""
        return self.change_held(
            claim, lambda job, now: Change(transitions.replace(job, lease_until=now + lease_seconds))
        )

    def stop_requested(self, claim: Claim) -> StopReason | None:
        """Returns why the attempt has to stop, or None. Called at every step: one read, no transaction."""
        found = self._records.read_many([claim.job_id])
        if not found or not _holds(found[0], claim):
            return "lost"
        job = found[0]
        if job.state is JobState.CANCELLING:
            return "cancel"
        if job.deadline is not None and transitions.is_late(job, self._records.now()):
            return "deadline"
        return "pause" if job.pause_requested else None

    def check(self, claim: Claim) -> None:
        """The fence before a checkpoint or a publication counts: raises LeaseLost when stale."""
        if self.stop_requested(claim) == "lost":
            raise LeaseLost(claim.job_id)

    def set_progress(self, claim: Claim, progress: Progress) -> None:
        def decide(job: Job, now: float) -> Change:
            finish = None if progress.eta_seconds is None else now + progress.eta_seconds
            return Change(transitions.replace(job, progress=progress, estimated_finish=finish))

        self.change_held(claim, decide)

    def append_event(
        self,
        claim: Claim,
        message: str,
        *,
        level: Level = "info",
        type: EventType = "message",
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Metrics of a step that an earlier attempt has reported are dropped: resumed runs redo steps."""
        event = NewEvent(message, level, type, dict(data or {}))

        def decide(job: Job, now: float) -> Change:
            step = event.data.get("step")
            if type != "metrics" or step is None:
                return Change(job, [event])
            # Without what depends on the machine: the same step may be done again on another one.
            kind = ",".join(sorted(key for key in event.data if not key.startswith(SYSTEM_PREFIX)))
            if step <= job.reported.get(kind, -1):
                return Change(job)
            job = transitions.replace(job, reported={**job.reported, kind: step})
            return Change(record_measures(job, event.data), [event])

        self.change_held(claim, decide)

    def add_checkpoint(self, claim: Claim, step: int, path: str, metrics: Mapping[str, float]) -> None:
        """path: relative to the job's folder."""

        def decide(job: Job, now: float) -> Change:
            checkpoint = Checkpoint(
                id=checkpoint_id(job.id, step), step=step, created_at=now, path=path, metrics=dict(metrics)
            )
            return Change(
                transitions.replace(job, crashes=0), [NewEvent(f"Saved a checkpoint at step {step}")], checkpoint
            )

        self.change_held(claim, decide)

    def forget_checkpoints(self, claim: Claim, steps: Sequence[int]) -> None:
        """Removes checkpoints that were deleted from disk from the job's list."""
        self.change_held(claim, lambda job, now: Change(job, forgotten=steps))

    def succeed(self, claim: Claim, result_model: str | None = None) -> None:
        def decide(job: Job, now: float) -> Change:
            done = job.progress.model_copy(update={"percent": 100.0, "eta_seconds": 0.0})
            text = f"The job succeeded: published {result_model}" if result_model else "The job succeeded"
            return transitions.end(job, now, JobState.SUCCEEDED, text, result_model=result_model, progress=done)

        self.change_held(claim, decide)

    def fail(self, claim: Claim, error: JobError) -> None:
        self.change_held(claim, lambda job, now: transitions.fail(job, now, error))

    def mark_cancelled(self, claim: Claim, published: str | None = None) -> None:
        """Ends a job that was being cancelled.

        published: the model made of its last checkpoint, if that was asked for.
        """
        text = f"Cancelled: published {published}" if published else "Cancelled"

        def decide(job: Job, now: float) -> Change:
            return transitions.end(job, now, JobState.CANCELLED, text, result_model=published or job.result_model)

        self.change_held(claim, decide)

    def mark_paused(self, claim: Claim) -> None:
        """Pauses a job whose checkpoint is saved, or queues it again if the request was taken back meanwhile."""

        def decide(job: Job, now: float) -> Change:
            if job.pause_requested and job.state is JobState.RUNNING:
                return transitions.mark_paused(job)
            return transitions.hand_back(job, now, "Stopped to pause, which was taken back", crashed=False)

        self._wakeups.send_for(self.change_held(claim, decide))

    def mark_late(self, claim: Claim) -> None:
        """Fails a job whose deadline has passed, and whose checkpoint is saved."""
        self.change_held(claim, lambda job, now: transitions.fail(job, now, transitions.deadline_exceeded(job)))

    def requeue(
        self, claim: Claim, reason: str, *, crashed: bool, out_of_memory: bool = False, last_lines: str = ""
    ) -> Job:
        """Gives the job back: to the queue, or to its end if it was being cancelled or kills its workers.

        crashed: the attempt died, instead of being handed back; `last_lines` of its log say how.
        out_of_memory: the kernel killed it for that, so the next one takes fewer samples at a time.
        """

        def decide(job: Job, now: float) -> Change:
            job = transitions.replace(job, memory_kills=job.memory_kills + out_of_memory)
            error = transitions.out_of_memory if out_of_memory else transitions.poisoned
            return transitions.hand_back(
                job, now, reason, crashed=crashed, backoff=self._backoff, last_lines=last_lines, error=error
            )

        job = self.change_held(claim, decide)
        self._wakeups.send_for(job)
        return job

    def reconcile(
        self,
        last_lines: Callable[[Job], str] = lambda job: "",
        dead: Collection[str] = (),
        *,
        believes: Callable[[], bool] = lambda: True,
    ) -> None:
        """Returns jobs of silent workers to the queue and rings again for wake-ups that were lost.

        dead: ids of workers known to have ended; their jobs need not wait for the lease to expire.
        believes: asked once Redis has told which leases ran out, whether those workers are silent.
        Jobs that no one works on fail when their deadline passes.
        """

        def take_back(job: Job, now: float) -> Change:
            is_silent = job.id in silent and (job.lease_until or now) <= now
            if job.lease_until is None or not (is_silent or job.worker in dead):
                return Change(job)
            reason = f"Worker {job.worker} {'ended' if job.worker in dead else 'went silent'}"
            # A lost worker is rarely its job's fault: the first time, the job need not wait.
            backoff = self._backoff if job.crashes else 0.0
            return transitions.hand_back(job, now, reason, crashed=True, backoff=backoff, last_lines=last_lines(job))

        def expire(job: Job, now: float) -> Change:
            idle = job.waits or job.state is JobState.PAUSED
            late = idle and transitions.is_late(job, now)
            return transitions.fail(job, now, transitions.deadline_exceeded(job)) if late else Change(job)

        now = self._records.now()
        held = {raw.decode(): until for raw, until in self._redis.zrange(LEASES, 0, -1, withscores=True)}
        silent = {job_id for job_id, until in held.items() if until <= now} if believes() else set()
        for job_id in held if dead else silent:
            self._change_if_there(job_id, take_back)
        for job in self._records.read_many([i.decode() for i in self._redis.zrangebyscore(DEADLINES, "-inf", now)]):
            if job.lease_until is None:
                self._change_if_there(job.id, expire)
        # A busy worker looks at the queue when it is done. What no worker fits must not keep the idle ones awake.
        idle = sum(w.job_id is None and not w.draining for w in self.workers.list())
        for _ in range(min(self._redis.zcard(QUEUES["pretraining"]), max(idle, 1)) - self._wakeups.waiting()):
            self._wakeups.send("reconciled")

    def repair_indexes(self) -> None:
        """Makes the indexes what the records imply, after each start of Redis and once an hour."""
        repair_if_due(self._redis)

    def change_held(self, claim: Claim, decide: Callable[[Job, float], Change]) -> Job:
        """Applies a change to the record that the claim holds. Raises LeaseLost."""

        def fenced(job: Job, now: float) -> Change:
            if not _holds(job, claim):
                raise LeaseLost(claim.job_id)
            return decide(job, now)

        try:
            return self._records.change(claim.job_id, fenced)
        except JobNotFound as e:  # it ended, and was deleted before its trainer or worker had left it
            raise LeaseLost(claim.job_id) from e

    def _change_if_there(self, job_id: str, decide: Callable[[Job, float], Change]) -> None:
        with contextlib.suppress(JobNotFound):  # deleted since the index was read
            self._records.change(job_id, decide)


class _NotNow(Exception):
    """Another worker was faster, or the job is to wait a little."""


def _holds(job: Job, claim: Claim) -> bool:
    return (
        job.attempt == claim.attempt
        and job.lease_until is not None
        and job.state in (JobState.RUNNING, JobState.CANCELLING)
    )
