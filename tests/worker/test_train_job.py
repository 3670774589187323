"""The real training of a job's record, in this process."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from app.jobs.kinds import EvaluationSpec, JobState, PretrainingSpec, Resources
from app.methods import ContrastiveHyperparameters, MlmHyperparameters
from app.modalities.text.load import load_text
from app.store.manifest import Manifest
from app.training.cluster.ray_run import ClusterPlan
from app.types import Task
from app.worker.attempt import Attempt, AttemptRunner
from app.worker.train_job import execute, plan_cluster
from tests.fakes.runs import SMALL
from tests.fakes.tiny_models import CORPUS, tiny_bert_folder
from tests.worker.conftest import AllServices


def upload(services: AllServices, texts: Sequence[Any]) -> str:
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


def test_a_contrastive_job_publishes_an_encoder(services: AllServices, tmp_path: Path) -> None:
    base = tiny_bert_folder(tmp_path / "base")
    manifest = Manifest(modality="text", architecture="bert", tasks=(Task.EMBED, Task.FILL_MASK), parameters=1)
    services.store.publish(base, manifest, name="base")
    options = {"sequence_length": 32, "batch_size": 8, "gradient_accumulation_steps": 2, "max_steps": 2}
    rows = [{"anchor": f"{a} {n}", "positive": f"{n} {a}"} for a in CORPUS for n in range(4)]
    spec = PretrainingSpec(
        model="base@1",
        method="contrastive",
        hyperparameters=ContrastiveHyperparameters(**options).model_dump(),
        training_files=(upload(services, rows),),
        name="sentences",
    )
    job = services.jobs.create(spec)
    claim = services.queue.claim("w1", 60)
    assert claim is not None
    AttemptRunner(services, claim, lambda: False).run(execute)

    job = services.jobs.get(job.id)
    assert (job.state, job.result_model) == (JobState.SUCCEEDED, "sentences@1"), job.error
    entry = services.store.resolve("sentences")
    assert (entry.manifest.tasks, entry.manifest.parents) == ((Task.EMBED,), ("base@1",))
    assert set(load_text(entry.path).tasks) == {Task.EMBED}
    assert job.verdict and job.verdict.measure == "loss"
    assert "/v1/embeddings" in (entry.path / "README.md").read_text()


def test_scores_on_labelled_items_are_metrics_of_the_job(services: AllServices) -> None:
    rows = [{"text": f"{text} {n}", "label": "ab"[n % 2]} for n, text in enumerate([*CORPUS, *CORPUS, *CORPUS])]
    values: dict[str, Any] = {"labels_per_class": (2,), "seeds": 1, "methods": ("knn",)}
    evaluation = EvaluationSpec(name="letters", models=("old@1",), file=upload(services, rows), **values)
    spec = PretrainingSpec(
        model="bert-tiny",
        method="mlm",
        hyperparameters=MlmHyperparameters(**SMALL, max_steps=2, eval_interval=1).model_dump(),
        training_files=(upload(services, CORPUS),),
        interval_evaluations={"ftjob-1": evaluation},
        name="tiny",
    )
    job = services.jobs.create(spec)
    claim = services.queue.claim("w1", 60)
    assert claim is not None
    AttemptRunner(services, claim, lambda: False).run(execute)

    job = services.jobs.get(job.id)
    assert job.state is JobState.SUCCEEDED, job.error
    assert job.chosen["eval_probe"].startswith("accuracy of nearest neighbours: 4 labels")
    events, _ = services.jobs.events(job.id, limit=100)
    scores = {event.data["step"]: event.data["eval_probe"] for event in events if "eval_probe" in event.data}
    assert scores.keys() == {0, 1, 2} and all(0 <= score <= 1 for score in scores.values())
    assert services.store.resolve("tiny").manifest.metrics["eval_probe"] == scores[2]


@pytest.mark.parametrize(
    ("resources", "processes", "expected"),
    [
        ({}, 2, {}),
        ({"device": "cuda"}, 2, {"device": "cuda"}),
        ({"gpus": 4, "nodes": 2, "threads": 8}, 4, {"device": "cuda", "nodes": 2, "cpus": 4}),
        ({"nodes": 2, "memory_gb": 8, "threads": 1}, 4, {"nodes": 2, "memory_bytes": 4 * 2**30}),
    ],
)
def test_resources_become_a_plan_of_the_cluster(
    services: AllServices, tmp_path: Path, resources: dict[str, Any], processes: int, expected: dict[str, Any]
) -> None:
    spec = PretrainingSpec(
        model="bert-tiny",
        method="mlm",
        hyperparameters=MlmHyperparameters(processes=processes).model_dump(),
        training_files=(),
        resources=Resources(**resources),
        name="tiny",
    )
    job = services.jobs.create(spec)
    claim = services.queue.claim("w1", 60)
    assert claim is not None
    settings = services.settings.model_copy(update={"trainer": "ray", "ray_address": "head:6379"})
    plan = plan_cluster(Attempt(job, claim, tmp_path), settings)
    assert plan == ClusterPlan(f"{job.id}-1", "head:6379", **expected)
