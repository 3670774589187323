"""The process of one attempt: `python -m app.worker.run_job JOB_ID ATTEMPT`, started by the worker."""

import sys
from importlib import import_module

from app.store.store import ModelEntry
from app.worker.attempt import Attempt, AttemptServices, Execute
from app.worker.attempt_main import run_attempt
from app.worker.reports import Reports

# By kind of job: the module whose `execute` does its work. Imported when it is needed: torch takes seconds.
_WORK = {
    "pretraining": "app.worker.train_job",
    "import": "app.worker.import_job",
    "evaluation": "app.worker.evaluation_job",
    "sweep": "app.worker.sweep_job",
}


def execute(attempt: Attempt, reports: Reports, services: AttemptServices) -> ModelEntry | None:
    work: Execute = import_module(_WORK[attempt.job.spec.kind]).execute
    return work(attempt, reports, services)


if __name__ == "__main__":
    run_attempt(sys.argv[1:], execute)
