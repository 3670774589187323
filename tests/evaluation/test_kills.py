"""An evaluation whose process is killed, by a real signal, and its next attempt."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from app.evaluation.embedding import PIECE, Embedder
from app.evaluation.report import build_report
from app.evaluation.run import EvaluationPlan, evaluate
from app.store.store import ModelStore
from tests.evaluation.test_run import Recorder, make_data
from tests.fakes.forks import FORKS
from tests.fakes.imports import import_folder
from tests.fakes.tiny_models import tiny_bert_folder

EMBEDDING_SHARE = 3 / 4  # of the work of an evaluation with one curve


class Killer(Recorder):
    def on_share(self, share: float) -> None:
        if share >= self.stop_at:
            os.kill(os.getpid(), signal.SIGKILL)


def evaluate_until_killed(models: Path, cache: Path) -> None:
    """Ends its process by SIGKILL once one of three pieces of vectors is stored."""
    store = ModelStore(models)
    plan = EvaluationPlan([store.resolve("tiny")], ("linear_probe",), ["all"], seeds=2)
    embedder, killed_at = Embedder(store, cache), PIECE / (2 * PIECE + 90) * EMBEDDING_SHARE
    evaluate(plan, make_data(2 * PIECE + 90), None, embedder, Killer(killed_at))


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    store = ModelStore(tmp_path / "models")
    import_folder(store, tiny_bert_folder(tmp_path / "tiny"), "tiny")
    return store


def test_a_killed_evaluation_continues_with_the_vectors_that_it_has(store: ModelStore, tmp_path: Path) -> None:
    process = FORKS.Process(target=evaluate_until_killed, args=(store.root, tmp_path / "cache"))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("embeddings/.tmp-*/*.npy")}
    assert 1 <= len(kept) < 3

    plan = EvaluationPlan([store.resolve("tiny")], ("linear_probe",), ["all"], seeds=2)
    data, hooks, undisturbed = make_data(2 * PIECE + 90), Recorder(), Recorder()
    again = evaluate(plan, data, None, Embedder(store, tmp_path / "cache"), hooks)
    fresh = evaluate(plan, data, None, Embedder(store, tmp_path / "other"), undisturbed)
    assert hooks.shares[0] > 0 and undisturbed.shares[0] == 0
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("embeddings/*/*.npy")}.items() >= {
        path.name: time for path, time in kept.items()
    }.items()
    assert np.array_equal(hooks.vectors["vectors-1"], undisturbed.vectors["vectors-1"])
    assert build_report(again.findings, complete=True) == build_report(fresh.findings, complete=True)
