"""Sweeps and their jobs. What is known of a sweep follows from the records of its jobs, its children."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from app.jobs import transitions
from app.jobs.connection import Client
from app.jobs.events import EventLog
from app.jobs.indexes import FINISHED, job_key
from app.jobs.kinds import JobState, PretrainingSpec, SweepSpec
from app.jobs.repository import Change, JobRepository
from app.jobs.spec import FINAL_STATES, Job
from app.jobs.viewer import EVERYONE, Viewer
from app.jobs.wakeups import Wakeups
from app.methods.early_stopping import PROBE, EarlyStoppingMetric, improves

LOSS, PER_CHARACTER = "loss", "bits_per_character"
_GRACE = 10.0  # seconds in which the server creates the jobs of a new sweep; a worker does it afterwards


@dataclass(frozen=True)
class RankedChild:
    """A job of a sweep. value: the latest held-out measure. rank: 1 is the best; None unless it has succeeded."""

    index: int
    job: Job
    value: float | None
    rank: int | None = None


@dataclass(frozen=True)
class Ranking:
    """The jobs of a sweep, the best first, then those without a rank in the order of their numbers.

    measure: the held-out metric that is compared, without the prefix `eval_`. Less of it is better.
    """

    measure: str
    children: Sequence[RankedChild]

    @property
    def best(self) -> Job | None:
        return self.children[0].job if self.children and self.children[0].rank else None


class Sweeps:
    """Every call may raise `connection.StorageError` while Redis is away."""

    def __init__(self, redis: Client, viewer: Viewer = EVERYONE) -> None:
        self._redis = redis
        # Without its limit: a sweep that was admitted gets all its jobs.
        self._records = JobRepository(redis, EventLog(redis), replace(viewer, max_jobs=0))
        self._wakeups = Wakeups(redis)

    def create_children(self, sweep: Job) -> int:
        """Queues the jobs of a sweep that are missing, until the sweep is closed. Returns their number."""
        spec = sweep_spec(sweep)
        known = {job.id for job in self.children(sweep)}
        missing = [at for at in range(len(spec.children)) if child_id(sweep.id, at) not in known]
        for count, at in enumerate(missing):
            job = Job(
                id=child_id(sweep.id, at),
                spec=spec.child(sweep.id, at),
                state=JobState.QUEUED,
                created_at=0,
                owner=sweep.owner,
                priority=sweep.priority,
            )
            try:
                self._records.create(job.id, partial(self._create_child, sweep.id, job), reads=[sweep.id])
            except _Closed:
                return count
            self._wakeups.send_for(job)
        return len(missing)

    def _create_child(self, sweep_id: str, child: Job, now: float) -> Change:
        if any(map(_is_closed, self._records.read_many([sweep_id]))):
            raise _Closed
        return transitions.create_child(child, now)

    def children(self, sweep: Job) -> list[Job]:
        """Returns the jobs of a sweep in the order of their numbers, without those that are missing."""
        return self._records.read_many([child_id(sweep.id, at) for at in range(len(sweep_spec(sweep).children))])

    def is_due(self, sweep: Job) -> bool:
        """Returns whether a worker has something to do: all jobs have ended, or some are missing."""
        found, ended = self._count_children(sweep)
        if not _is_closed(sweep) and found < len(sweep_spec(sweep).children):
            return self._records.now() - sweep.created_at > _GRACE
        return found == ended

    def have_ended(self, sweep: Job) -> bool:
        """Returns whether all jobs of a sweep have ended. Those that a closed sweep lacks do not count."""
        found, ended = self._count_children(sweep)
        return found == ended and (_is_closed(sweep) or found == len(sweep_spec(sweep).children))

    def _count_children(self, sweep: Job) -> tuple[int, int]:
        """Returns how many jobs of a sweep there are, and how many have ended. Workers ask often: reads no record."""
        ids = [child_id(sweep.id, at) for at in range(len(sweep_spec(sweep).children))]
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.exists(*map(job_key, ids))
            pipe.zmscore(FINISHED, ids)
            found, ends = pipe.execute()
        return found, sum(end is not None for end in ends)

    def goes_on(self, sweep_id: str) -> bool:
        """Returns whether a sweep has not ended. One that is deleted has."""
        return any(sweep.state not in FINAL_STATES for sweep in self._records.read_many([sweep_id]))

    def cancel(self, sweep_id: str, *, publish: bool) -> None:
        """Cancels the jobs of a sweep, then the sweep. An interrupted request can be repeated.

        publish: the sweep goes on, and publishes the best of its jobs that have succeeded.
        Raises Conflict if the sweep has ended, or is being cancelled without publishing.
        """
        self.cancel_children(self._records.change(sweep_id, partial(transitions.close_sweep, publish=publish)))
        if not publish:
            self._records.change(sweep_id, transitions.end_closed_sweep)

    def cancel_children(self, sweep: Job) -> None:
        """Cancels the jobs that have not ended, those that wait first, so that no worker begins another one."""
        active = [job for job in self.children(sweep) if job.state not in FINAL_STATES]
        for job in sorted(active, key=lambda job: job.state is JobState.RUNNING):
            self._records.change(job.id, _cancel_unless_ended)

    def rank(self, sweep: Job) -> Ranking:
        """Ranks the jobs by their held-out loss, or by bits per character where their vocabularies differ."""
        jobs = self.children(sweep)
        vocabularies = {job.chosen["vocabulary"] for job in jobs if "vocabulary" in job.chosen}
        measure = PER_CHARACTER if len(vocabularies) > 1 else LOSS
        numbers = {child_id(sweep.id, at): at for at in range(len(sweep_spec(sweep).children))}
        found = [RankedChild(numbers[job.id], job, _value(job, measure)) for job in jobs]
        ended = [child for child in found if child.job.state is JobState.SUCCEEDED and child.value is not None]
        ended.sort(key=lambda child: (child.value or 0.0, child.index))
        ranked = [RankedChild(each.index, each.job, each.value, at) for at, each in enumerate(ended, 1)]
        places = {child.index for child in ranked}
        return Ranking(measure, [*ranked, *(child for child in found if child.index not in places)])


def record_measures(job: Job, data: Mapping[str, Any]) -> Job:
    """Returns the record of a job after a metrics event. A job that stops early keeps its best evaluation."""
    names = (LOSS, PER_CHARACTER, PROBE.removeprefix("eval_"))
    measures = {name: data[f"eval_{name}"] for name in names if _is_finite(data.get(f"eval_{name}"))}
    if LOSS not in measures or not data.get("step"):  # weights that are not trained are never the best
        return job
    hyperparameters = job.spec.hyperparameters if isinstance(job.spec, PretrainingSpec) else {}
    metric: EarlyStoppingMetric = hyperparameters.get("early_stopping_metric", "eval_loss")
    best, value = (found.get(metric.removeprefix("eval_")) for found in (job.held_out_measures, measures))
    if hyperparameters.get("early_stopping_patience") and best is not None:
        delta = hyperparameters.get("early_stopping_min_delta", 0.0)
        if value is None or not improves(metric, value, best, delta):
            return job
    return transitions.replace(job, held_out_measures=measures)


def _value(job: Job, measure: str) -> float | None:
    """Returns the measure of the weights that a job would publish now. Older records have it in the verdict."""
    verdict = job.verdict.value if job.verdict and job.verdict.measure == measure else None
    return job.held_out_measures.get(measure, verdict)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def sweep_spec(job: Job) -> SweepSpec:
    assert isinstance(job.spec, SweepSpec)
    return job.spec


def child_id(sweep_id: str, index: int) -> str:
    """Returns the id of a sweep's job. It is a function of the sweep, so that creating it twice makes one job."""
    digest = hashlib.sha256(f"{sweep_id}/{index}".encode()).hexdigest()
    return f"ftjob-{digest[:24]}"


class _Closed(Exception):
    """The sweep gets no further jobs."""


def _is_closed(sweep: Job) -> bool:
    """Returns whether a sweep gets no further jobs: it has ended or is being cancelled."""
    return sweep.publish_requested or sweep.state is JobState.CANCELLING or sweep.state in FINAL_STATES


def _cancel_unless_ended(job: Job, now: float) -> Change:
    if job.state in FINAL_STATES:
        return Change(job)
    return transitions.cancel(job, now, publish=False, published=None)
