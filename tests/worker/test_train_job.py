"""The real training of a job's record, in this process."""

import asyncio
import json
from typing import Any

import pytest

from app.jobs.kinds import JobState, PretrainingSpec
from app.methods import MlmHyperparameters
from app.worker.attempt import AttemptRunner
from app.worker.train_job import execute
from tests.fakes.runs import SMALL
from tests.fakes.tiny_models import CORPUS
from tests.worker.conftest import AllServices


def upload(services: AllServices, texts: list[str]) -> str:
    content = "\n".join(map(json.dumps, texts)).encode()
    return asyncio.run(services.files.create("a.jsonl", "fine-tune", [content], len(content))).id


def test_weighted_files_and_processes_reach_the_run(services: AllServices) -> None:
    options: dict[str, Any] = {**SMALL, "max_steps": 2, "processes": 2, "deduplicate": "exact"}
    spec = PretrainingSpec(
        model="bert-tiny",
        method="mlm",
        hyperparameters=MlmHyperparameters(**options).model_dump(),
        training_files=(upload(services, CORPUS), upload(services, [f"{a} {b}" for a in CORPUS for b in CORPUS])),
        weights=(2.0, 0.5),
        name="tiny",
    )
    job = services.jobs.create(spec)
    claim = services.queue.claim("w1", 60)
    assert claim is not None
    AttemptRunner(services, claim, lambda: False).run(execute)

    job = services.jobs.get(job.id)
    assert (job.state, job.result_model) == (JobState.SUCCEEDED, "tiny@1"), job.error
    events, _ = services.jobs.events(job.id, limit=100)
    mixed = [event.data for event in events if "weight" in event.data]
    assert [data["weight"] for data in mixed] == [2.0, 0.5]
    assert sum(data["share"] for data in mixed) == pytest.approx(1.0)
    assert any(event.message == "Dropped 0 of 72 documents" for event in events)
