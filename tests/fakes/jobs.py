"""The job system as tests use it: users and workers at once."""

from collections.abc import Callable
from typing import Any

from rq import Queue
from rq.serializers import JSONSerializer

from app.jobs.connection import Client
from app.jobs.events import EventLog
from app.jobs.indexes import (
    DEADLINES,
    FILES,
    FINISHED,
    JOBS,
    LEASES,
    QUEUE_NUMBERS,
    QUEUES,
    SEQUENCE,
    file_jobs_key,
    file_key,
    job_key,
    model_jobs_key,
    state_key,
)
from app.jobs.jobs import IDEMPOTENCY_SECONDS, Jobs
from app.jobs.kinds import JobState, PretrainingSpec
from app.jobs.repository import Change, JobRepository
from app.jobs.retention import JobRetention
from app.jobs.spec import Job
from app.jobs.transitions import CRASH_BACKOFF
from app.jobs.wakeups import QUEUE_NAME
from app.jobs.webhooks import OUTBOX, deliveries_key
from app.jobs.worker_queue import WorkerQueue

QUEUE = QUEUES["pretraining"]


class JobSystem(Jobs):
    """The users' side, with the workers' side and the housekeeper's beside it."""

    def __init__(
        self, redis: Client, *, idempotency_seconds: int = IDEMPOTENCY_SECONDS, crash_backoff: float = CRASH_BACKOFF
    ) -> None:
        super().__init__(redis, idempotency_seconds=idempotency_seconds)
        self.queue = WorkerQueue(redis, crash_backoff=crash_backoff)
        self.retention = JobRetention(redis)

    def rewrite(self, job_id: str, **update: Any) -> Job:
        """Changes fields of a record and its indexes as if time had passed, such as `deadline` and `lease_until`."""
        records = JobRepository(self._redis, EventLog(self._redis))
        return records.change(job_id, lambda job, now: Change(job.model_copy(update=update)))

    def waiting_wakeups(self) -> int:
        return len(self._bell())

    def lose_wakeups(self) -> None:
        """Drops all wake-ups, as Redis may."""
        self._bell().empty()

    def _bell(self) -> Queue:
        return Queue(QUEUE_NAME, connection=self._redis, serializer=JSONSerializer)


class Indexes:
    """The indexes beside the records in Redis, to be read, and damaged as a crash may damage them."""

    SORTED = (JOBS, QUEUE, LEASES, DEADLINES, FINISHED, FILES, OUTBOX)
    STATES = tuple(map(state_key, JobState))

    def __init__(self, redis: Client) -> None:
        self._redis = redis

    def read(self) -> dict[str, Any]:
        """All entries by key, without the scores of the outbox, which each attempt sets."""
        found: dict[str, Any] = {key: self._redis.zrange(key, 0, -1, withscores=True) for key in self.SORTED}
        found[OUTBOX] = self._redis.zrange(OUTBOX, 0, -1)
        sets = (*self.STATES, *self.users_of_files(), *self.users_of_models())
        found |= {key: members for key in sets if (members := self._redis.smembers(key))}
        return found | {QUEUE_NUMBERS: self._redis.hgetall(QUEUE_NUMBERS), SEQUENCE: self._redis.get(SEQUENCE)}

    def users_of_files(self) -> list[str]:
        """The keys of the sets that hold the jobs of each file."""
        return [key.decode() for key in self._redis.keys(file_jobs_key("*"))]

    def users_of_models(self) -> list[str]:
        """The keys of the sets that hold the jobs of each model."""
        return [key.decode() for key in self._redis.keys(model_jobs_key("*"))]

    def job_ids(self) -> list[str]:
        """All jobs, oldest first."""
        return [raw.decode() for raw in self._redis.zrange(JOBS, 0, -1)]

    def lose_records(self) -> None:
        """Deletes the records of all jobs and files, and no index."""
        files = [raw.decode() for raw in self._redis.zrange(FILES, 0, -1)]
        keys = [key(job_id) for job_id in self.job_ids() for key in (job_key, deliveries_key)]
        self._redis.delete(*keys, *map(file_key, [*files, "file-1"]))

    def edit_records(self, edit: Callable[[bytes], bytes]) -> None:
        """Replaces the stored bytes of each job's record."""
        for job_id in self.job_ids():
            self._redis.set(job_key(job_id), edit(self._redis.get(job_key(job_id))))


def make_spec(redis: Client, **changes: Any) -> PretrainingSpec:
    """A job specification whose training file is known to Redis."""
    redis.set(file_key("file-1"), "{}")
    values: dict[str, Any] = {
        "model": "bert-tiny",
        "method": "mlm",
        "hyperparameters": {"max_steps": 10},
        "training_files": ("file-1",),
        "name": "tiny",
    }
    return PretrainingSpec(**{**values, **changes})
