"""A job of the kind `pretraining`: trains, then publishes what came of it. Imports no torch."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from app.jobs.kinds import JobState
from app.jobs.spec import Job, pretraining_spec
from app.publishing.publication import Publisher
from app.store.manifest import Manifest
from app.store.store import ModelEntry
from app.training.hooks import Stopped
from app.worker.attempt import Attempt, AttemptServices, Execute
from app.worker.reports import Reports

if TYPE_CHECKING:
    from app.training.job import TrainingResult

Train: TypeAlias = "Callable[[Attempt, Reports, AttemptServices], TrainingResult]"


def train_and_publish(train: Train) -> Execute:
    """Makes the work of a job of its training alone."""

    def execute(attempt: Attempt, reports: Reports, services: AttemptServices) -> ModelEntry | None:
        result = train(attempt, reports, services)
        if result.outcome.stopped:
            raise Stopped(result.outcome.stopped)
        reports.flush()
        made = Manifest(
            modality=result.modality,
            architecture=result.architecture,
            tasks=result.tasks,
            parameters=result.parameters,
            forward_path=result.forward_path,
            metrics=result.metrics,
        )
        job = services.queue.read(attempt.claim)  # with its last progress
        publisher = Publisher(services.store, services.files, services.settings.jobs_dir)
        if _leaves_publishing(job, services):
            publisher.save_result(job, made)
            return None
        return publisher.publish_result(job, result.folder, made, reports.fence)

    return execute


def _leaves_publishing(job: Job, services: AttemptServices) -> bool:
    """Returns whether a sweep publishes what came of the job. A job that goes on after its sweep publishes itself."""
    sweep = pretraining_spec(job).sweep
    return sweep is not None and (services.queue.sweeps.goes_on(sweep) or job.state is JobState.CANCELLING)
