"""The score of a model while it is trained: equal to a plain computation, and the same after a kill."""

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from app.datasets.labelled import LabelledColumns, LabelledFile, Part
from app.errors import InvalidData
from app.evaluation.run_probe import ProbeMethod, ProbePlan, RunProbe
from app.methods import MlmHyperparameters
from app.modalities.base import Prepared
from app.modalities.embedding import EmbedItem
from app.modalities.text.load import load_text
from app.system.process_pool import ProcessPool
from app.training.data.source_file import SourceFile
from app.training.job import TrainingJob
from app.training.run import run
from app.types import Task
from tests.fakes.runs import SMALL, Recorder, same
from tests.fakes.tiny_models import CORPUS, tiny_bert_folder

ROWS = [(f"{CORPUS[n % 4]} {n // 4}", "ab"[n % 4 > 1], "train" if n < 40 else "test") for n in range(72)]


@pytest.fixture
def decoders() -> Iterator[ProcessPool]:
    with ProcessPool(1) as pool:
        yield pool


def make_plan(folder: Path, method: ProbeMethod = "linear_probe") -> ProbePlan:
    path = folder / "labels.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([("text", "label", "part"), *ROWS, (" ", "a", "test")])
    files = [LabelledFile(path, path.name, Part.EITHER, "file")]
    return ProbePlan("reviews", method, "all", files, LabelledColumns(split="part"), "auto", "text")


@pytest.mark.parametrize("method", ["linear_probe", "knn"])
def test_a_score_equals_that_of_a_plain_loop(tmp_path: Path, decoders: ProcessPool, method: ProbeMethod) -> None:
    model = load_text(tiny_bert_folder(tmp_path / "tiny"))
    probe = RunProbe(make_plan(tmp_path, method), decoders, batch_tokens=64)
    described = probe.start(model)
    assert described.startswith("accuracy of ") and described.endswith("40 labels, 32 test items of reviews")
    with torch.no_grad():
        found = probe.measure()
        handler = model.tasks[Task.EMBED]
        vectors = np.concatenate([handler.run(handler.collate([_prepare(handler, text)])) for text, _, _ in ROWS])
    labels = np.array([label for _, label, _ in ROWS])
    train, test = vectors[:40], vectors[40:]
    if method == "knn":
        learner = KNeighborsClassifier(5, metric="cosine", weights="distance").fit(train, labels[:40])
        assert found == pytest.approx(learner.score(test, labels[40:]))
        return
    scaler = StandardScaler().fit(train)
    possible = [
        LogisticRegression(C=10.0**power, tol=1e-5, max_iter=2000)
        .fit(scaler.transform(train), labels[:40])
        .score(scaler.transform(test), labels[40:])
        for power in range(-4, 4)
    ]
    assert found in possible


def _prepare(handler: object, text: str) -> object:
    prepared: Prepared = handler.prepare(EmbedItem(text, normalize=False, truncate=True))  # type: ignore
    return prepared.inputs


def test_items_that_no_model_can_read_are_an_error(tmp_path: Path, decoders: ProcessPool) -> None:
    plan = make_plan(tmp_path)
    plan.files[0].path.write_text("text,label,part\n" + "lion,a,train\n" * 9 + "lion,a,test\n" * 9)
    with pytest.raises(InvalidData):
        RunProbe(plan, decoders, 64).start(load_text(tiny_bert_folder(tmp_path / "tiny")))


def test_a_run_that_was_killed_reports_the_same_scores_and_stops_by_them(tmp_path: Path, decoders: ProcessPool) -> None:
    source = tmp_path / "corpus.txt"
    source.write_text("\n".join(f"{a} {b}" for a in CORPUS for b in CORPUS))
    stopping = {"early_stopping_patience": 2, "early_stopping_min_delta": 1.0, "early_stopping_metric": "eval_probe"}

    def job(name: str) -> TrainingJob:
        (tmp_path / name).mkdir(exist_ok=True)
        return TrainingJob(
            method="mlm",
            model="bert-tiny",
            hyperparameters=MlmHyperparameters(**{**SMALL, "max_steps": 30, "eval_interval": 2, **stopping}),
            training_files=(SourceFile(source, source.name),),
            validation_files=(),
            run_dir=tmp_path / name,
            cache_dir=tmp_path / "cache",
            device="cpu",
            probes=[RunProbe(make_plan(tmp_path), decoders, 64)],
        )

    hooks, again = Recorder(), Recorder()
    undisturbed = run(job("a"), hooks)
    with pytest.raises(KeyboardInterrupt):
        run(job("b"), Recorder(die_at=5))
    resumed = run(job("b"), again)
    assert hooks.chosen["eval_probe"].startswith("accuracy of a linear probe")
    assert undisturbed.outcome.state.step == 6 and undisturbed.metrics["step"] == 2
    assert any("eval_probe has not risen in 2 evaluations" in message for message, _ in hooks.events)
    assert hooks.series("eval_probe")[-1] == again.series("eval_probe")[-1]
    assert resumed.outcome.state.curve == undisturbed.outcome.state.curve and same(resumed, undisturbed)
    assert all("eval_probe" in point for point in undisturbed.outcome.state.curve)
    unprobed = job("c").hyperparameters.model_copy(update={"early_stopping_metric": "eval_loss"})
    plain = run(replace(job("c"), probes=(), hyperparameters=unprobed), Recorder(stop_at=4))
    assert [point["eval_loss"] for point in plain.outcome.state.curve[:3]] == hooks.series("eval_loss")[:3]
