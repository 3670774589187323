"""Drops what is kept of ended jobs for a limited time."""

from app.jobs.connection import Client
from app.jobs.events import MANY_CHECKPOINTS, EventLog, events_key
from app.jobs.indexes import FINISHED, job_key
from app.jobs.kinds import PretrainingSpec
from app.jobs.repository import Change, JobRepository
from app.jobs.spec import FINAL_STATES, Job
from app.jobs.sweeps import Sweeps


class JobRetention:
    """Every call may raise `connection.StorageError` while Redis is away, and JobNotFound."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis
        self._log = EventLog(redis)
        self._records = JobRepository(redis, self._log)
        self._sweeps = Sweeps(redis)

    def claim_period(self, name: str, seconds: int) -> bool:
        """Returns True for one caller in `seconds`, of all processes that share the queue."""
        return bool(self._redis.set(f"cloze:turn:{name}", b"", nx=True, ex=seconds))

    def list_ended(self, seconds: float) -> list[str]:
        """Ids of jobs that ended so long ago."""
        found = self._redis.zrangebyscore(FINISHED, "-inf", self._records.now() - seconds)
        return [job_id.decode() for job_id in found]

    def drop_checkpoints(self, job_id: str) -> bool:
        """Forgets an ended job's checkpoints, before they are deleted.

        Returns False, and forgets nothing, if the job or its sweep goes on.
        """
        if not self._has_ended(job_id):
            return False

        def decide(job: Job, now: float) -> Change:
            if job.state not in FINAL_STATES:
                return Change(job)
            steps = [c.step for c in self._log.checkpoints(job_id, None, MANY_CHECKPOINTS)[0]]
            return Change(job, forgotten=steps)

        return self._records.change(job_id, decide).state in FINAL_STATES

    def drop_events(self, job_id: str) -> bool:
        """Deletes events and metrics of a job. Returns False, and deletes nothing, if the job or its sweep goes on."""
        if not self._has_ended(job_id):
            return False
        series = self._redis.scan_iter(match=f"{job_key(job_id)}:metrics*", count=1000)
        self._redis.delete(events_key(job_id), *series)
        return True

    def _has_ended(self, job_id: str) -> bool:
        """Returns whether a job and the sweep that it belongs to have ended."""
        job = self._records.read(job_id)
        sweep = job.spec.sweep if isinstance(job.spec, PretrainingSpec) else None
        return job.state in FINAL_STATES and not (sweep and self._sweeps.goes_on(sweep))
