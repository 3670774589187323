"""Trainers that are killed while they publish, by real signals at moments drawn at random."""

from collections.abc import Callable

import numpy as np
import pytest

from app.jobs.kinds import JobState
from app.jobs.spec import Job
from tests.worker.conftest import AllServices, StartWorker, WaitFor

OPERATIONS = 9  # that a publication of the fake trainer does at least, on the store's files and folders


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_killed_while_it_publishes_is_published_once(
    services: AllServices, submit: Callable[..., Job], start_worker: StartWorker, wait_for: WaitFor, seed: int
) -> None:
    moments = np.random.default_rng(seed).permutation(OPERATIONS)[:4] + 1
    jobs = [submit(max_steps=1, kill_publishing=int(moment)) for moment in moments]
    start_worker()
    done = [wait_for(job, JobState.SUCCEEDED) for job in jobs]
    assert [job.attempt for job in done] == [2] * len(jobs)
    published = [e for e in services.store.versions("tiny") if e.manifest.job_id]
    assert sorted(str(e.manifest.job_id) for e in published) == sorted(job.id for job in jobs)
    assert sorted(str(job.result_model) for job in done) == sorted(e.id for e in published)
    for entry in published:
        assert {f.name for f in entry.path.iterdir()} == {"manifest.json", *entry.manifest.files}
