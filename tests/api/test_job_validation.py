"""What a job's answer says before it runs: estimates, weights, and the dry run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fastapi.testclient import TestClient

from app.datasets.sampling import DocumentSample
from app.jobs.spec import Progress, pretraining_spec
from app.methods import TEXT_PRESETS, MlmHyperparameters, preset
from app.modalities.estimator import CheckedFiles
from app.modalities.text.builder import build_preset
from app.modalities.text.estimator import shape_of
from app.store.store import ModelStore
from app.submission.estimates import estimate
from tests.api.conftest import publish
from tests.fakes.jobs import JobSystem
from tests.fakes.tiny_models import MAX_LENGTH, tiny_bert_folder, tiny_tokenizer

PATH = "/v1/pretraining/jobs"
DOCUMENTS = [f"The lions hunt the zebras, as document {n} tells at some length." for n in range(50)]

Upload = Callable[..., str]


@pytest.fixture
def upload(jobs_client: TestClient) -> Upload:
    def send(documents: list[str], name: str = "text.jsonl") -> str:
        content = "\n".join(map(json.dumps, documents)).encode()
        answer = jobs_client.post("/v1/files", files={"file": (name, content)}, data={"purpose": "fine-tune"})
        return str(answer.json()["id"])

    return send


def body(*files: Any, **hyperparameters: Any) -> dict[str, Any]:
    method = {"type": "mlm", "mlm": {"hyperparameters": hyperparameters}}
    return {"model": "bert-tiny", "training_files": list(files), "method": method}


def test_a_jobs_answer_carries_an_estimate(jobs_client: TestClient, jobs: JobSystem, upload: Upload) -> None:
    file = upload(DOCUMENTS)
    asked = {"epochs": 2, "batch_tokens": 256}
    first = jobs_client.post(PATH, json=body(file, **asked)).json()
    estimate = first["estimate"]
    assert (estimate["documents"], estimate["sampled"], estimate["seconds"]) == (50, False, None)
    assert estimate["tokens"] == pytest.approx(len("".join(DOCUMENTS)) / 4.3, rel=0.1)
    assert estimate["training_tokens"] == pytest.approx(2 * 0.98 * estimate["tokens"], rel=0.01)
    assert estimate["memory_bytes"] > 4 * 4 * 2_000_000 and estimate["disk_bytes"] > 10_000_000
    assert jobs_client.get(f"{PATH}/{first['id']}").json()["estimate"] == estimate

    claim = jobs.queue.claim("worker", 60)
    assert claim is not None
    jobs.queue.set_progress(claim, Progress(tokens=1000, tokens_per_second=1000.0))
    jobs.queue.succeed(claim, "mine@1")
    same = jobs_client.post(PATH, json=body(file, **asked)).json()["estimate"]
    assert same["seconds"] == pytest.approx(same["training_tokens"] / 1000, rel=0.01)
    larger = {**body(file, **asked), "model": "bert-small"}
    assert jobs_client.post(PATH, json=larger).json()["estimate"]["seconds"] > 3 * same["seconds"]
    timed = jobs_client.post(PATH, json=body(file, max_minutes=3)).json()["estimate"]
    assert (timed["seconds"], timed["training_tokens"]) == (180, 180_000)
    assert jobs_client.post(PATH, json=body(file, epochs=0.01)).json()["estimate"]["training_tokens"] == 4096  # a step


def test_validating_does_all_but_queueing(jobs_client: TestClient, upload: Upload) -> None:
    file = upload(DOCUMENTS)
    answer = jobs_client.post(f"{PATH}/validate", json={**body(file), "name": "mine"}).json()
    assert (answer["valid"], answer["model"], answer["name"]) == (True, "bert-tiny", "mine")
    assert answer["training_files"] == [file] and answer["estimate"]["documents"] == 50
    bad = jobs_client.post(f"{PATH}/validate", json=body(file, learning_rate=7))
    assert (bad.status_code, bad.json()["error"]["param"]) == (422, "method.mlm.hyperparameters.learning_rate")
    late = jobs_client.post(f"{PATH}/validate", json={**body(file), "deadline": 1})
    assert (late.status_code, late.json()["error"]["param"]) == (422, "deadline")
    assert jobs_client.get(PATH).json()["data"] == []


def test_files_may_have_weights(jobs_client: TestClient, jobs: JobSystem, upload: Upload) -> None:
    first, second = upload(DOCUMENTS), upload(DOCUMENTS[:10])
    weighted = [{"id": first, "weight": 0.5}, second]
    job = jobs_client.post(PATH, json=body(*weighted, batch_tokens=256)).json()
    assert job["training_files"] == [{"id": first, "weight": 0.5}, {"id": second, "weight": 1.0}]
    assert job["training_file"] == first
    assert jobs.get(job["id"]).spec.weights == (0.5, 1.0)
    estimate = job["estimate"]
    assert estimate["training_tokens"] == pytest.approx(estimate["tokens"] * 0.98 * 35 / 60, rel=0.05)


@pytest.mark.parametrize("weight", [0, -1, "many"])
def test_weights_are_positive(jobs_client: TestClient, upload: Upload, weight: Any) -> None:
    answer = jobs_client.post(PATH, json=body({"id": upload(DOCUMENTS), "weight": weight}))
    assert answer.status_code == 422


def test_a_file_is_not_named_twice(jobs_client: TestClient, upload: Upload) -> None:
    file = upload(DOCUMENTS)
    answer = jobs_client.post(PATH, json=body(file, {"id": file}))
    assert (answer.status_code, "twice" in answer.json()["error"]["message"]) == (422, True)


@pytest.mark.parametrize(
    ("documents", "options", "message"),
    [(["A lion."], {}, "too little text"), (DOCUMENTS, {"min_characters": 1000}, "no document is as long")],
)
def test_too_little_text_is_told_at_once(
    jobs_client: TestClient, upload: Upload, documents: list[str], options: dict[str, Any], message: str
) -> None:
    error = jobs_client.post(PATH, json=body(upload(documents), **options)).json()["error"]
    assert (error["code"], error["param"]) == ("invalid_data", "training_file")
    assert message in error["message"]


def test_what_the_disk_cannot_hold_is_refused(
    jobs_client: TestClient, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = upload(DOCUMENTS)

    class Usage(NamedTuple):
        total: int
        free: int

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10_000_000, 1_000_000))
    answer = jobs_client.post(PATH, json=body(file))
    assert (answer.status_code, answer.json()["error"]["code"]) == (507, "insufficient_storage")


@pytest.mark.parametrize("name", ["bert-mini", "modernbert-mini"])
def test_the_size_of_a_preset_is_known_without_building_it(name: str) -> None:
    tokenizer = tiny_tokenizer("bert")
    config = preset(name)
    assert config is not None
    shape = shape_of(name, MlmHyperparameters(vocab_size=len(tokenizer)), Path)
    assert shape is not None
    assert shape.parameters == pytest.approx(build_preset(config, tokenizer, 128).num_parameters(), rel=0.01)


def test_every_preset_has_an_estimate(store: ModelStore) -> None:
    sample = DocumentSample(10, 430_000, 0.1, ("some text",))
    for name in TEXT_PRESETS:
        found = estimate("mlm", name, MlmHyperparameters(), CheckedFiles([sample], [1.0], None), store, [])
        assert (found.documents, found.sampled) == (100, True)
        assert found.tokens == pytest.approx(1_000_000, rel=0.01)
        assert found.memory_bytes and found.disk_bytes


def test_a_stored_models_own_tokenizer_counts(store: ModelStore, tmp_path: Any) -> None:
    publish(store, tmp_path, "tiny")
    tiny_bert_folder(store.resolve("tiny").path)
    text = " ".join(DOCUMENTS)
    sample = DocumentSample(1, len(text), 1.0, (text,))
    hp = MlmHyperparameters()
    found = estimate("mlm", "tiny@1", hp, CheckedFiles([sample], [1.0], sample), store, [])
    assert found.tokens == len(tiny_tokenizer("bert")(text, add_special_tokens=False)["input_ids"])


@pytest.fixture
def tiny(store: ModelStore, tmp_path: Path) -> str:
    publish(store, tmp_path, "tiny")
    tiny_bert_folder(store.resolve("tiny").path)
    return "tiny"


def test_a_text_that_a_stored_tokenizer_cannot_write_is_refused_at_once(
    jobs_client: TestClient, upload: Upload, tiny: str
) -> None:
    file = upload(["ภาษาไทย" * 30, "แมวน้ำ" * 30])
    for asked in ({**body(file), "model": tiny}, body(file, tokenizer_model=tiny)):
        answer = jobs_client.post(f"{PATH}/validate", json=asked)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (422, "invalid_data", "training_file")
        assert "100.0% of the text is unknown to the tokenizer, such as 'ภาษา" in error["message"]
    assert jobs_client.post(f"{PATH}/validate", json=body(file)).status_code == 200


def test_a_stored_model_has_its_own_longest_sequence(jobs_client: TestClient, upload: Upload, tiny: str) -> None:
    file = upload(DOCUMENTS)
    for given in ({}, {"sequence_length": None}, {"sequence_length": "auto"}, {"batch_tokens": 64}, {"batch_size": 2}):
        job = jobs_client.post(PATH, json={**body(file, **given), "model": tiny}).json()
        made = job["method"]["mlm"]["hyperparameters"]
        assert made["sequence_length"] == MAX_LENGTH
        assert "batch_size" not in given or made["batch_tokens"] == 2 * MAX_LENGTH
    assert jobs_client.post(f"{PATH}/validate", json=body(file)).status_code == 200


@pytest.mark.parametrize(
    ("given", "param", "message"),
    [
        ({"sequence_length": 128}, "sequence_length", "is 128, but the model reads at most 64 tokens"),
        ({"vocab_size": 500}, "vocab_size", "keeps its tokenizer"),
        ({"tokenizer": "bpe"}, "tokenizer", "keeps its tokenizer"),
        ({"tokenizer_model": "tiny"}, "tokenizer_model", "keeps its tokenizer"),
    ],
)
def test_what_does_not_suit_a_stored_model_is_refused_at_once(
    jobs_client: TestClient, upload: Upload, tiny: str, given: dict[str, Any], param: str, message: str
) -> None:
    for path in (PATH, f"{PATH}/validate"):
        answer = jobs_client.post(path, json={**body(upload(DOCUMENTS), **given), "model": tiny})
        error = answer.json()["error"]
        assert (answer.status_code, error["param"]) == (422, f"method.mlm.hyperparameters.{param}")
        assert message in error["message"]


def test_models_that_hyperparameters_name_are_checked_at_once(
    jobs_client: TestClient, upload: Upload, tiny: str
) -> None:
    file = upload(DOCUMENTS)
    for given, param in (
        ({"teacher": tiny}, "teacher"),  # it reads 64 tokens, and 128 is the default
        ({"tokenizer": "bpe", "tokenizer_model": tiny}, "tokenizer"),
    ):
        answer = jobs_client.post(PATH, json=body(file, **given))
        assert (answer.status_code, answer.json()["error"]["param"]) == (422, f"method.mlm.hyperparameters.{param}")
    given = {"tokenizer": "base", "tokenizer_model": tiny}
    assert jobs_client.post(PATH, json=body(file, **given)).status_code == 200


def test_the_dry_run_shows_what_is_understood_of_each_file(jobs_client: TestClient, upload: Upload) -> None:
    training = upload([*DOCUMENTS, DOCUMENTS[0], ""], "lions.jsonl")
    content = "\n".join(DOCUMENTS).encode()
    answer = jobs_client.post("/v1/files", files={"file": ("held out.txt", content)}, data={"purpose": "fine-tune"})
    held_out = answer.json()["id"]
    found = jobs_client.post(f"{PATH}/validate", json={**body(training), "validation_file": held_out}).json()
    first, second = found["previews"]
    assert (first["file"], first["filename"], first["use"]) == (training, "lions.jsonl", "training_file")
    assert (first["items"], first["sampled"], first["read_as"]) == (51, False, {"rows": 1})
    assert first["first_items"][0] == {"text": DOCUMENTS[0], "name": None, "length": len(DOCUMENTS[0])}
    assert len(first["first_items"]) == 5 and first["duplicate_share"] == pytest.approx(1 / 51, abs=1e-5)
    assert first["left_out"] == [{"reason": "empty", "count": 1, "example": "lions.jsonl, line 52"}]
    assert first["alphabet"]["characters"][0]["character"] == " " and first["lengths"]["unit"] == "characters"
    assert (second["file"], second["use"], second["read_as"]) == (held_out, "validation_file", {"lines": 1})
    lines = {**body(training), "validation_file": held_out, "hyperparameters": {"documents": "file"}}
    lines["method"] = {"type": "mlm"}
    assert jobs_client.post(f"{PATH}/validate", json=lines).json()["previews"][1]["items"] == 1


def test_evaluations_to_repeat_are_checked(jobs_client: TestClient, jobs: JobSystem, upload: Upload) -> None:
    file = upload(DOCUMENTS)
    rows = "".join(f"text {n},{'ab'[n % 2]}\n" for n in range(8))
    table = jobs_client.post("/v1/files", files={"file": ("t.csv", f"text,label\n{rows}".encode())}).json()["id"]
    evaluation = jobs_client.post("/v1/evaluations", json={"models": ["full"], "file": table}).json()["id"]
    made = jobs_client.post(PATH, json={**body(file), "evaluations": [evaluation, evaluation]})
    assert made.status_code == 200, made.text
    assert made.json()["evaluations"] == [evaluation]
    for wrong, status in (("ftjob-0", 404), (made.json()["id"], 422)):
        answer = jobs_client.post(PATH, json={**body(file), "evaluations": [evaluation, wrong]})
        assert (answer.status_code, answer.json()["error"]["param"]) == (status, "evaluations.1"), answer.text
    pictures = {"model": "mae-tiny", "training_files": [file], "evaluations": [evaluation]}
    error = jobs_client.post(PATH, json=pictures).json()["error"]
    assert error["param"] == "evaluations.0" and "is of text" in error["message"]


def test_evaluations_at_intervals_are_checked(jobs_client: TestClient, jobs: JobSystem, upload: Upload) -> None:
    file = upload(DOCUMENTS)
    rows = "".join(f"text {n},{'ab'[n % 2]}\n" for n in range(8))
    table = jobs_client.post("/v1/files", files={"file": ("t.csv", f"text,label\n{rows}".encode())}).json()["id"]
    asked = {"models": ["full"], "file": table, "metadata": {"team": "docs"}}
    evaluation = jobs_client.post("/v1/evaluations", json=asked).json()["id"]
    slow = jobs_client.post("/v1/evaluations", json={**asked, "methods": ["baseline"]}).json()["id"]
    named = {"id": evaluation, "when": "interval", "labels_per_class": 2}
    watched = {"early_stopping_patience": 2, "early_stopping_metric": "eval_probe"}
    request = {**body(file), "hyperparameters": watched, "method": {"type": "mlm"}}
    refused = jobs_client.post(PATH, json={**request, "evaluations": [evaluation]})
    assert refused.json()["error"]["param"] == "hyperparameters.early_stopping_metric", refused.text
    made = jobs_client.post(PATH, json={**request, "evaluations": [evaluation, named]})
    assert made.status_code == 200, made.text
    assert made.json()["evaluations"] == [evaluation, named]
    spec = pretraining_spec(jobs.get(made.json()["id"]))
    short = spec.interval_evaluations[evaluation]
    assert (short.methods, short.labels_per_class, short.metadata) == (("linear_probe",), (2,), {})
    assert ("evaluations", table) in spec.files and spec.evaluations == (evaluation,)
    wrong = [[named, named], [{**named, "when": "end"}], [{**named, "labels_per_class": 0}]]
    for evaluations in wrong:
        assert jobs_client.post(PATH, json={**request, "evaluations": evaluations}).status_code == 422
    for other, status in ((slow, 422), ("ftjob-0", 404)):
        answer = jobs_client.post(PATH, json={**request, "evaluations": [named, {**named, "id": other}]})
        assert (answer.status_code, answer.json()["error"]["param"]) == (status, "evaluations.1"), answer.text
    assert jobs_client.delete(f"/v1/files/{table}").status_code == 409


def test_an_encoder_without_a_mask_head_repeats_no_evaluation_that_masks(
    jobs_client: TestClient, upload: Upload
) -> None:
    texts = upload(DOCUMENTS)
    masks = {"models": ["full"], "file": texts, "methods": ["masked_accuracy"]}
    evaluation = jobs_client.post("/v1/evaluations", json=masks).json()["id"]
    method = {"type": "contrastive", "contrastive": {"hyperparameters": {"positives": "dropout"}}}
    asked = {"model": "full", "training_file": texts, "method": method, "evaluations": [evaluation]}
    error = jobs_client.post(PATH, json=asked).json()["error"]
    assert error["param"] == "evaluations.0" and "cannot predict" in error["message"]
