"""Publications of checkpoints, from folders without a trainer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.jobs.kinds import JobState, PretrainingSpec
from app.jobs.spec import Checkpoint, Job
from app.publishing.publication import Publisher
from app.store.store import ModelStore
from tests.fakes.checkpoints import write_checkpoint, write_skeleton

Publish = Callable[[], str]


@pytest.fixture
def publish(tmp_path: Path) -> Publish:
    """Publishes step 10 as it is on the disk."""
    files: Any = None  # the job has none
    publisher = Publisher(ModelStore(tmp_path / "models"), files, tmp_path)
    spec = PretrainingSpec(
        model="bert-tiny", method="mlm", hyperparameters={}, training_files=(), name="tiny", request={"model": "x"}
    )
    job = Job(id="ftjob-1", spec=spec, state=JobState.SUCCEEDED, created_at=0)
    path = "checkpoints/step-000000010"
    checkpoint = Checkpoint(id="ftckpt-1-10", step=10, created_at=0, path=path, metrics={})
    write_skeleton(tmp_path / job.id)
    return lambda: publisher.publish_checkpoint(job, checkpoint).id


def test_a_step_that_an_extension_comes_to_again_is_another_publication(publish: Publish, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "ftjob-1", 10)
    assert [publish(), publish()] == ["tiny@1", "tiny@1"]
    write_checkpoint(tmp_path / "ftjob-1", 10, b"other weights")
    assert [publish(), publish()] == ["tiny@2", "tiny@2"]
