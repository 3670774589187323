"""Use cases of existing jobs that need more than their records: models, disk space, checkpoints."""

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.errors import Conflict
from app.jobs.indexes import models_of
from app.jobs.jobs import Jobs
from app.jobs.kinds import JobState, PretrainingSpec, SweepSpec
from app.jobs.spec import Job, check_action, pretraining_spec
from app.methods import METHODS
from app.publishing.publication import Publisher, prevent_publication
from app.store.names import check_new_name
from app.store.store import ModelEntry, ModelStore
from app.system.disk_space import DiskReserve
from app.validation import describe


class JobControl:
    """Continues, publishes and deletes jobs. The methods of `Jobs` do what needs the record alone.

    disk: the reserve that must be free before a job is continued.
    """

    def __init__(self, jobs: Jobs, store: ModelStore, publisher: Publisher, disk: DiskReserve, jobs_dir: Path) -> None:
        self._jobs, self._store, self._publisher, self._disk = jobs, store, publisher, disk
        self._jobs_dir = jobs_dir

    def cancel(self, job_id: str, *, publish: bool = False) -> Job:
        """Cancels a job, and a sweep with its jobs.

        publish: publish the last checkpoint. A sweep itself goes on then, and publishes the best of its jobs that had
        succeeded. Raises Conflict, as `cancel_and_publish` and `Sweeps.cancel`.
        """
        job = self._jobs.get(job_id)
        if isinstance(job.spec, SweepSpec):
            self._jobs.sweeps.cancel(job_id, publish=publish)
            return self._jobs.get(job_id)
        return self.cancel_and_publish(job_id) if publish else self._jobs.cancel(job_id)

    def cancel_and_publish(self, job_id: str) -> Job:
        """Cancels a job and publishes its last checkpoint. The trainer of a running job publishes it later.

        Raises Conflict if no trainer runs and there is no checkpoint.
        """
        job = self._jobs.get(job_id)
        published = None
        if job.state in (JobState.QUEUED, JobState.PAUSED):
            checkpoints, _ = self._jobs.checkpoints(job_id, limit=1)
            if not checkpoints:
                raise Conflict(f"job '{job_id}' has no checkpoint to publish", param="publish")
            published = self._publisher.publish_checkpoint(job, checkpoints[0]).id
        return self._jobs.cancel(job_id, publish=True, published=published)

    def retry(self, job_id: str, *, deadline: float | None = None, max_wall_minutes: float | None = None) -> Job:
        """Queues a failed or cancelled job again. The earlier of the two limits becomes its deadline, in Unix seconds.

        Raises ModelNotFound, InsufficientStorage, and the errors of `Jobs.retry`.
        """
        self._check_needs(self._jobs.get(job_id))
        limits = [deadline, time.time() + max_wall_minutes * 60 if max_wall_minutes else None]
        return self._jobs.retry(job_id, deadline=min(filter(None, limits), default=None))

    def extend(self, job_id: str, limits: Mapping[str, Any], limit_names: tuple[str, ...]) -> Job:
        """Continues a successful job up to new limits.

        limits: the new values. limit_names: all limits of a run; those without a new value are removed.
        Raises InvalidValue, ModelNotFound, InsufficientStorage, and the errors of `Jobs.extend`.
        """
        job = self._jobs.get(job_id)
        check_action(job, "extend")
        spec = pretraining_spec(job)
        self._check_needs(job)
        method = METHODS[spec.method].hyperparameters
        values = {**spec.hyperparameters, **dict.fromkeys(limit_names), **limits}
        try:
            hyperparameters = method.model_validate(values)
        except ValidationError as error:
            raise describe(dict(error.errors()[0]), "") from error
        return self._jobs.extend(job_id, hyperparameters.model_dump(), limits)

    def publish(self, job_id: str, checkpoint_id: str, *, name: str | None = None) -> tuple[ModelEntry, int]:
        """Publishes a checkpoint as a version of `name`, or of the job's own name. Returns the version and its step.

        Raises Conflict, InvalidValue for the name, and JobNotFound or CheckpointNotFound.
        """
        job = self._jobs.get(job_id)
        check_action(job, "publish")
        checkpoint = self._jobs.checkpoint(job_id, checkpoint_id)
        name = check_new_name(name) if name else None
        return self._publisher.publish_checkpoint(job, checkpoint, name=name), checkpoint.step

    def delete(self, job_id: str) -> None:
        """Deletes an ended job and its folder, and a sweep with all its jobs.

        Raises Conflict for any other, for a single job of a sweep, and while a checkpoint is published.
        """
        job = self._jobs.get(job_id)
        if isinstance(job.spec, PretrainingSpec) and job.spec.sweep and self._jobs.exists(job.spec.sweep):
            raise Conflict(f"job '{job_id}' belongs to the sweep '{job.spec.sweep}': delete the sweep")
        if isinstance(job.spec, SweepSpec):
            children = self._jobs.sweeps.children(job)
            for each in (job, *children):
                check_action(each, "delete")
            for child in children:
                self._delete(child.id)
        self._delete(job_id)

    def _delete(self, job_id: str) -> None:
        folder = self._jobs_dir / self._jobs.get(job_id).id
        with prevent_publication(folder):
            self._jobs.delete(job_id)
            shutil.rmtree(folder, ignore_errors=True)  # nothing refers to what stays behind

    def _check_needs(self, job: Job) -> None:
        """An ended job needs its models and disk space to go on. Raises ModelNotFound, InsufficientStorage."""
        self._disk.check()
        for model in models_of(job):
            self._store.resolve(model)
