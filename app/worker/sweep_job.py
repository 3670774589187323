"""The work of a sweep: queues its jobs, and when all have ended, publishes the best of their models."""

from functools import partial

from app.errors import Conflict
from app.jobs import transitions
from app.jobs.kinds import JobState
from app.jobs.sweeps import Ranking
from app.publishing.publication import Publisher
from app.store.store import ModelEntry
from app.training.hooks import Stopped
from app.worker.attempt import WAIT, Attempt, AttemptServices
from app.worker.reports import Reports


def execute(attempt: Attempt, reports: Reports, services: AttemptServices) -> ModelEntry:
    """Raises Stopped if the sweep is cancelled or waits for its jobs, and Conflict if none of them has succeeded."""
    sweeps = services.queue.sweeps
    sweeps.create_children(attempt.job)
    sweep = services.queue.read(attempt.claim)  # it may have been cancelled meanwhile
    if sweep.state is JobState.CANCELLING:
        sweeps.cancel_children(sweep)
        raise Stopped("cancel")
    if not sweeps.have_ended(sweep):
        raise Stopped(WAIT)
    ranking = sweeps.rank(sweep)
    best = ranking.best
    if best is None and sweep.publish_requested:
        services.queue.change_held(attempt.claim, partial(transitions.close_sweep, publish=False))
        raise Stopped("cancel")
    if best is None:
        raise Conflict(_explain(ranking))
    value = ranking.children[0].value
    succeeded = sum(child.rank is not None for child in ranking.children)
    reports.on_event(
        f"The best of {succeeded} jobs is {best.spec.name}: held-out {ranking.measure} {value:.4f}",
        {"best": best.id, "measure": ranking.measure, "value": value},
    )
    publisher = Publisher(services.store, services.files, services.settings.jobs_dir)
    published = publisher.publish_saved(best, sweep, reports.fence)
    reports.flush()
    return published


def _explain(ranking: Ranking) -> str:
    reasons = [child.job.error.message.splitlines()[0] for child in ranking.children if child.job.error]
    return "none of the jobs of this sweep has a result" + (f"; the first error: {reasons[0]}" if reasons else "")
