"""The state of the job system at one moment, as metrics report it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.jobs.connection import Client
from app.jobs.events import EventLog
from app.jobs.indexes import LEASES, QUEUES, state_key
from app.jobs.kinds import JobState
from app.jobs.metrics import MetricSeries
from app.jobs.repository import JobRepository
from app.jobs.spec import Job
from app.jobs.webhooks import OUTBOX
from app.jobs.workers import WorkerInfo, WorkerRegistry

_MAX_RUNNING = 64  # jobs that are looked at: each becomes a label value


@dataclass(frozen=True)
class RedisState:
    """seconds: of one round trip. memory_bytes: that Redis uses. max_memory_bytes: 0 without a limit.

    durable: whether the append-only file is on and its last write succeeded.
    """

    seconds: float
    memory_bytes: int
    max_memory_bytes: int
    durable: bool


@dataclass(frozen=True)
class JobsState:
    """states: jobs by state, without sweeps that wait for their jobs. waiting: jobs in each queue, by kind.

    running: the jobs that workers hold, at most 64. losses: the last training loss, by job id, where there is one.
    webhooks: deliveries that are yet to be made.
    """

    redis: RedisState
    states: Mapping[JobState, int]
    waiting: Mapping[str, int]
    workers: Sequence[WorkerInfo]
    running: Sequence[Job]
    losses: Mapping[str, float]
    webhooks: int


class JobsOverview:
    """Reads the state of the job system. Every call may raise `connection.StorageError` while Redis is away."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis
        self._records = JobRepository(redis, EventLog(redis))
        self._workers = WorkerRegistry(redis)
        self._series = MetricSeries(redis)

    def read(self) -> JobsState:
        started = time.perf_counter()
        self._redis.ping()
        seconds = time.perf_counter() - started
        states, waiting, webhooks, held = self._count()
        running = self._records.read_many(held)
        return JobsState(
            redis=self._read_redis(seconds),
            states=states,
            waiting=waiting,
            workers=self._workers.list(),
            running=running,
            losses=self._series.last([job.id for job in running], "train_loss"),
            webhooks=webhooks,
        )

    def count_by_state(self) -> Mapping[JobState, int]:
        """Counts jobs of all kinds. A sweep that waits for its jobs is not counted as queued: no worker is missing."""
        return self._count()[0]

    def _count(self) -> tuple[Mapping[JobState, int], Mapping[str, int], int, list[str]]:
        """Returns jobs by state, waiting jobs by kind, pending webhooks, and the ids of jobs that workers hold."""
        with self._redis.pipeline(transaction=True) as pipe:
            for state in JobState:
                pipe.scard(state_key(state))
            for queue in QUEUES.values():
                pipe.zcard(queue)
            pipe.zcard(OUTBOX)
            pipe.zrange(LEASES, 0, _MAX_RUNNING - 1)
            *counts, webhooks, held = pipe.execute()
        states = dict(zip(JobState, counts, strict=False))
        waiting = dict(zip(QUEUES, counts[len(JobState) :], strict=True))
        # The queue also has sweeps that are being cancelled and lost their worker.
        states[JobState.QUEUED] = max(states[JobState.QUEUED] - waiting["sweep"], 0)
        return states, waiting, webhooks, [raw.decode() for raw in held]

    def _read_redis(self, seconds: float) -> RedisState:
        memory, persistence = self._redis.info("memory"), self._redis.info("persistence")
        return RedisState(
            seconds=seconds,
            memory_bytes=int(memory["used_memory"]),
            max_memory_bytes=int(memory.get("maxmemory", 0)),
            durable=bool(persistence.get("aof_enabled")) and persistence.get("aof_last_write_status", "ok") == "ok",
        )
