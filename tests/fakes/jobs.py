"""The job system as tests use it: users and workers at once."""

from typing import Any

from rq import Queue
from rq.serializers import JSONSerializer

from app.jobs.connection import Client
from app.jobs.events import EventLog
from app.jobs.indexes import file_key
from app.jobs.jobs import IDEMPOTENCY_SECONDS, Jobs
from app.jobs.kinds import PretrainingSpec
from app.jobs.repository import Change, JobRepository
from app.jobs.retention import JobRetention
from app.jobs.spec import Job
from app.jobs.transitions import CRASH_BACKOFF
from app.jobs.wakeups import QUEUE_NAME
from app.jobs.worker_queue import WorkerQueue


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
