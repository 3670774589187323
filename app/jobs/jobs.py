"""The users' side of the job system: create, look at, control and delete jobs."""

import hashlib
import json
import secrets
from collections.abc import Callable, ItemsView, Iterable, Mapping
from functools import partial
from typing import Any, TypeAlias

import orjson

from app.errors import Conflict, JobNotFound, NotFound
from app.jobs import transitions
from app.jobs.connection import Client
from app.jobs.events import MANY_CHECKPOINTS, EventLog, Order
from app.jobs.indexes import JOBS, job_key, model_jobs_key
from app.jobs.kinds import AnySpec, JobState
from app.jobs.metrics import MetricSeries
from app.jobs.overview import JobsOverview
from app.jobs.repository import SCAN, Change, Idempotency, JobRepository
from app.jobs.spec import Checkpoint, Job, JobEvent, check_action
from app.jobs.sweeps import Sweeps
from app.jobs.viewer import EVERYONE, Viewer
from app.jobs.wakeups import Wakeups
from app.jobs.webhooks import Webhooks
from app.jobs.workers import WorkerRegistry, queue_reason
from app.telemetry.tracing import current_traceparent

IDEMPOTENCY_SECONDS = 24 * 3600

Ids: TypeAlias = list[str]
# A page of a list, and whether there are more.
JobPage: TypeAlias = tuple[list[Job], bool]
EventPage: TypeAlias = tuple[list[JobEvent], bool]
CheckpointPage: TypeAlias = tuple[list[Checkpoint], bool]


class Jobs:
    """The job system as users see it; `WorkerQueue` is what workers see of the same records.

    Every call may raise `connection.StorageError` while Redis is away. What ACTIONS does not allow
    in a job's state raises Conflict. overview: one whose connection gives up sooner, for metrics.
    """

    def __init__(
        self,
        redis: Client,
        *,
        idempotency_seconds: int = IDEMPOTENCY_SECONDS,
        viewer: Viewer = EVERYONE,
        overview: JobsOverview | None = None,
    ) -> None:
        self._redis = redis
        self._idempotency_seconds = idempotency_seconds
        self._viewer = viewer
        self._log = EventLog(redis)
        self._records = JobRepository(redis, self._log, viewer)
        self._wakeups = Wakeups(redis)
        self.workers = WorkerRegistry(redis)
        self.overview = overview or JobsOverview(redis)
        self.series = MetricSeries(redis)
        self.webhooks = Webhooks(redis)
        self.sweeps = Sweeps(redis, viewer)

    def seen_by(self, viewer: Viewer) -> "Jobs":
        """Returns the job system as one owner sees it."""
        return Jobs(self._redis, idempotency_seconds=self._idempotency_seconds, viewer=viewer, overview=self.overview)

    def create(self, spec: AnySpec, idempotency_key: str | None = None, *, priority: int = 0) -> Job:
        """Queues a job. With a key seen before: the same job, or Conflict if the request differs.

        Raises FileNotFound if a file of the spec is not there; from now on those files stay. Raises QuotaExceeded if
        the owner has too many jobs.
        """
        new = Job(
            id=f"ftjob-{secrets.token_hex(12)}",
            spec=spec,
            state=JobState.QUEUED,
            created_at=0,
            owner=self._viewer.owner,
            priority=priority,
            trace=current_traceparent(),
        )
        body = spec.request or spec.model_dump(mode="json")
        idempotency = self._idempotency(idempotency_key, body) if idempotency_key else None
        job = self._made_earlier(self._records.create(new.id, partial(transitions.create, new), idempotency))
        self._wakeups.send_for(job)
        return job

    def find_created(self, idempotency_key: str, request: Mapping[str, Any]) -> Job | None:
        """The job that the same request has made under this key; Conflict if another has, or if it is deleted."""
        job_id = self._records.find_created(self._idempotency(idempotency_key, request))
        return self._made_earlier(job_id) if job_id else None

    def _made_earlier(self, job_id: str) -> Job:
        try:
            return self.get(job_id)
        except JobNotFound as e:
            raise Conflict(f"this Idempotency-Key has made job '{job_id}', which is deleted: use another key") from e

    def get(self, job_id: str) -> Job:
        return self._records.read(job_id)

    def exists(self, job_id: str) -> bool:
        return bool(self._redis.exists(job_key(job_id)))

    def list(
        self,
        after: str | None = None,
        limit: int = 20,
        metadata: Mapping[str, str] | None = None,
        *,
        kind: str | None = None,
        model: str | None = None,
    ) -> JobPage:
        """Newest first, at most `limit` jobs older than `after` that carry all of `metadata`, of one kind or of all.

        model: of evaluations, those of this model, as name@version, or as name for all of its versions.
        Returns them and whether there are more; raises JobNotFound if `after` is not a job.
        """
        start = 0
        if after is not None:
            rank = self._redis.zrevrank(JOBS, after)
            if rank is None:
                raise JobNotFound(f"no job '{after}'", param="after")
            self.get(after)  # one that is seen
            start = rank + 1
        found: list[Job] = []
        wanted = dict(metadata or {}).items()
        selects = kind is not None or model is not None or bool(wanted) or not self._viewer.sees_all
        size = SCAN if selects else limit + 1
        while len(found) <= limit:
            ids = [i.decode() for i in self._redis.zrevrange(JOBS, start, start + size - 1)]
            found += self._records.read_many(self._select(ids, kind, wanted, model) if selects else ids)
            start += len(ids)
            if len(ids) < size:
                break
        return found[:limit], len(found) > limit

    def _select(self, job_ids: Ids, kind: str | None, wanted: ItemsView[str, str], model: str | None) -> Ids:
        """Selects the jobs of a kind with all of that metadata, without validating the records of the others."""
        raws = self._redis.mget([job_key(job_id) for job_id in job_ids]) if job_ids else []
        found = []
        for job_id, raw in zip(job_ids, raws, strict=True):
            record = orjson.loads(raw) if raw is not None else None
            if record is None or not self._viewer.sees(record.get("owner")):
                continue
            spec = record["spec"]
            if kind not in (None, spec.get("kind", "pretraining")):
                continue
            evaluated = spec.get("models", [])
            if model is not None and model not in (*evaluated, *(each.partition("@")[0] for each in evaluated)):
                continue
            if wanted <= spec["metadata"].items():
                found.append(job_id)
        return found

    def cancel(self, job_id: str, *, publish: bool = False, published: str | None = None) -> Job:
        """Ends a waiting job at once and asks a running one to stop, and to publish its last checkpoint.

        published: what the caller has published already of a job that was waiting.
        """
        return self._records.change(job_id, partial(transitions.cancel, publish=publish, published=published))

    def pause(self, job_id: str) -> Job:
        """A running job saves a checkpoint at its next step and frees its worker."""
        return self._records.change(job_id, transitions.pause)

    def resume(self, job_id: str) -> Job:
        return self._change_and_wake(job_id, transitions.resume)

    def retry(self, job_id: str, *, deadline: float | None = None) -> Job:
        """Continues an ended job that did not succeed from its last checkpoint.

        deadline: a new one, in Unix seconds; Conflict if it is missing and the old one has passed,
        InvalidValue if it has passed itself.
        """
        return self._change_and_wake(job_id, partial(transitions.retry, deadline=deadline))

    def extend(self, job_id: str, hyperparameters: Mapping[str, Any], given: Mapping[str, Any]) -> Job:
        """Continues a job that succeeded from its last checkpoint to new limits. It publishes again.

        hyperparameters: all of them; given: the limits among them that are new. Raises InvalidValue
        for a limit that is reached already, Conflict if the job has no checkpoint any more.
        """
        check_action(self.get(job_id), "extend")
        if not self.checkpoints(job_id, limit=1)[0]:
            raise Conflict(f"job '{job_id}' has no checkpoint any more to continue from")
        return self._change_and_wake(job_id, partial(transitions.extend, hyperparameters=hyperparameters, given=given))

    def prioritise(self, job_id: str, priority: int) -> Job:
        """Sets a job's priority. Of the waiting jobs the highest priority is first; of equal ones, the oldest."""
        self._records.change(job_id, partial(transitions.prioritise, priority=priority))
        return self.get(job_id)

    def move(self, job_id: str, position: int) -> Job:
        """Puts a queued job at a place of the queue, 0 being next, with the priority of the job there."""
        self._records.move(job_id, position)
        return self.get(job_id)

    def delete(self, job_id: str) -> None:
        """Drops an ended job's record, events and checkpoints' entries; its models stay."""
        self._records.delete(job_id)

    def events(self, job_id: str, after: str | None = None, limit: int = 20, order: Order = "asc") -> EventPage:
        """Events beyond the event `after`: in the order they happened, or "desc", as OpenAI lists them."""
        self.get(job_id)
        return self._log.page(job_id, after, limit, order)

    def checkpoints(self, job_id: str, after: str | None = None, limit: int = 10) -> CheckpointPage:
        """Newest first; only those that are still on disk."""
        self.get(job_id)
        return self._log.checkpoints(job_id, after, limit)

    def find_users_of(self, model_ids: Iterable[str]) -> Ids:
        """Unfinished jobs that need one of these stored models, given as name@version."""
        keys = list(map(model_jobs_key, model_ids))
        return sorted(user.decode() for user in self._redis.sunion(keys)) if keys else []

    def check_unused(self, model_ids: Iterable[str]) -> None:
        """Raises Conflict for models, given as name@version, that an unfinished job needs."""
        if users := self.find_users_of(model_ids):
            raise Conflict(
                f"a job that has not ended needs it as its base, teacher or tokenizer: {', '.join(users[:5])}",
                param="model",
            )

    def queue_reasons(self, jobs: Iterable[Job]) -> dict[str, str]:
        """Why queued jobs do not run, beside those before them, by job id."""
        queued = [job for job in jobs if job.state is JobState.QUEUED]
        if not queued:
            return {}
        workers, now = self.workers.list(), self._records.now()
        reasons = {job.id: queue_reason(job, workers, now) for job in queued}
        return {job_id: reason for job_id, reason in reasons.items() if reason}

    def checkpoint(self, job_id: str, identifier: str) -> Checkpoint:
        """Raises NotFound for one that the job has not, or not any more."""
        found, _ = self.checkpoints(job_id, limit=MANY_CHECKPOINTS)
        checkpoint = next((c for c in found if c.id == identifier), None)
        if checkpoint is None:
            raise NotFound(f"job '{job_id}' has no checkpoint '{identifier}'", param="checkpoint")
        return checkpoint

    def count_by_state(self) -> Mapping[JobState, int]:
        """Counts jobs, as `JobsOverview` does."""
        return self.overview.count_by_state()

    def _change_and_wake(self, job_id: str, decide: Callable[[Job, float], Change]) -> Job:
        self._wakeups.send_for(self._records.change(job_id, decide))
        return self.get(job_id)

    def _idempotency(self, key: str, body: Mapping[str, Any]) -> Idempotency:
        """The idempotency of a request as it was sent: what it resolves to (a model's latest version) may change."""
        text = json.dumps(body, sort_keys=True, separators=(",", ":"))  # not orjson: it has no integers of any size
        if self._viewer.owner is not None:  # the keys of one owner tell nothing to another
            key = f"{self._viewer.owner}:{key}"
        return Idempotency(key, hashlib.sha256(text.encode()).hexdigest(), self._idempotency_seconds)
