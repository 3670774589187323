"""An evaluation over HTTP and from the command line, by a real worker."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from app.cli import app
from app.store.store import ModelStore
from tests.fakes.cloze import Server, wait_until
from tests.fakes.http import http
from tests.fakes.imports import import_folder
from tests.fakes.tiny_models import CORPUS, tiny_bert_folder

ENDED = {"succeeded", "failed", "cancelled"}
PATH = "/v1/evaluations"
ROWS = [
    {"sentence": f"{CORPUS[n % 8]} ({n})", "topic": "even" if n % 2 else "odd", "part": "test" if n % 3 else "train"}
    for n in range(60)
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("cloze")
    import_folder(ModelStore(root / "store"), tiny_bert_folder(root / "tiny"), "tiny")
    server = Server(root)
    try:
        yield server.wait_for(r"Listening on (http://127\.0\.0\.1:\d+)\n")[1]
    finally:
        stopped = server.stop()
    assert stopped == 0, server.output


def upload(url: str, filename: str, content: str) -> str:
    files = {"file": (filename, content.encode())}
    answer = http.post(f"{url}/v1/files", files=files, data={"purpose": "fine-tune"})
    return str(answer.raise_for_status().json()["id"])


def table(rows: list[dict[str, Any]]) -> str:
    return "\n".join(map(json.dumps, rows))


COLUMNS = {"text_column": "sentence", "label_column": "topic", "split_column": "part"}


def test_an_evaluation_from_the_upload_to_the_report(url: str) -> None:
    file = upload(url, "topics.jsonl", table([*ROWS, {"sentence": "no label"}]))
    body = {"models": ["tiny"], "file": file, "labels_per_class": [1, 5, "all"], "seeds": 2, **COLUMNS}
    job = http.post(f"{url}{PATH}", json=body).raise_for_status().json()
    assert (job["kind"], job["object"], job["name"], job["models"]) == (
        "evaluation",
        "evaluation",
        "topics",
        ["tiny@1"],
    )
    place = f"{url}{PATH}/{job['id']}"
    wait_until(lambda: http.get(place).json()["status"] in ENDED)
    job = http.get(place).json()
    assert (job["status"], job["progress"]["percent"]) == ("succeeded", 100), job["error"]
    assert job["verdict"]["measure"] == "accuracy" and "tiny@1 reaches" in job["verdict"]["summary"]

    names = [each["name"] for each in http.get(f"{place}/artifacts").json()["data"]]
    reports = ["confusion-1.png", "curve.png", "map-1.png", "report.csv", "report.json", "report.md", "splits.json"]
    assert names == [*reports, "vectors-1-random.npy", "vectors-1.npy"]
    report = http.get(f"{place}/artifacts/report.json").json()
    assert report["complete"] and len(report["results"]) == 4 * 3 + 1
    assert report["data"]["skipped"][0]["place"] == "topics.jsonl, line 61"
    assert report["data"]["classes"] == {"even": 30, "odd": 30}
    events = http.get(f"{place}/events", params={"order": "asc", "limit": 100}).json()["data"]
    assert any(event["message"].startswith("tiny@1, linear_probe, with 5 labels") for event in events)

    assert [each["id"] for each in http.get(f"{url}{PATH}").json()["data"]] == [job["id"]]
    for model, count in {"tiny": 1, "tiny@1": 1, "tiny@2": 0}.items():
        assert len(http.get(f"{url}{PATH}", params={"model": model}).json()["data"]) == count
    assert http.get(f"{url}/v1/pretraining/jobs").json()["data"] == []
    assert http.post(f"{url}/v1/pretraining/jobs/{job['id']}/extend", json={"max_steps": 5}).status_code == 409
    assert http.get(f"{url}/v1/models/tiny").is_success
    assert http.delete(place).json()["deleted"]
    assert http.get(place).status_code == 404


def test_an_evaluation_publishes_a_classifier_that_is_served_at_once(url: str) -> None:
    file = upload(url, "my topics.jsonl", table(ROWS))
    body = {"models": ["tiny"], "file": file, "methods": ["linear_probe", "baseline"], "seeds": 2, **COLUMNS}
    job = http.post(f"{url}{PATH}", json={**body, "labels_per_class": ["all"], "publish": True}).json()
    assert (job["publish"], job["result_model"]) == ("my-topics", None)
    place = f"{url}{PATH}/{job['id']}"
    wait_until(lambda: http.get(place).json()["status"] in ENDED)
    job = http.get(place).json()
    assert (job["status"], job["result_model"]) == ("succeeded", "my-topics@1"), job["error"]

    model = http.get(f"{url}/v1/models/my-topics").json()
    assert "classify" in model["tasks"] and (model["job_id"], model["parents"]) == (job["id"], ["tiny@1"])
    made = http.get(f"{place}/artifacts/classifier.json").json()
    assert (made["held_out"]["source"], made["held_out"]["items"]) == ("the test part", 40)
    assert model["classifier"] == made["classifier"] and model["classifier"]["labels"] == ["even", "odd"]
    assert model["metrics"]["accuracy"] == made["held_out"]["metrics"]["accuracy"]
    card = http.get(f"{url}/v1/models/my-topics/card").text
    assert all(said in card for said in ("| Encoder | tiny@1 |", "## Weaknesses", "my topics.jsonl", "/v1/classify"))

    asked = {"model": "my-topics", "input": [row["sentence"] for row in ROWS]}
    before = http.post(f"{url}/v1/classify", json=asked).json()["data"]
    tested = [(row["topic"], each["label"]) for row, each in zip(ROWS, before, strict=True) if row["part"] == "test"]
    assert np.mean([true == found for true, found in tested]) == pytest.approx(model["metrics"]["accuracy"])
    assert http.post(f"{url}{PATH}", json={**body, "publish": "tiny"}).json()["error"]["param"] == "publish"


def test_the_command_prints_the_report(url: str, tmp_path: Path) -> None:
    file = tmp_path / "topics.jsonl"
    file.write_text(table(ROWS))
    columns = ["--text-column", "sentence", "--label-column", "topic", "--split-column", "part"]
    options = ["--model", "tiny", "--method", "linear_probe", "--method", "baseline", "--labels-per-class", "2,all"]
    done = CliRunner().invoke(app, ["evaluate", str(file), *columns, *options, "--url", url])
    assert done.exit_code == 0, done.output
    assert "| linear probe | tiny@1 |" in done.stdout
    assert "| baseline: TF-IDF |" in done.stdout


def test_pairs_are_evaluated_without_labels(url: str, tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    pairs = [{"text": CORPUS[n % 8], "second": CORPUS[n % 7], "label": n, "genre": "ab"[n % 2]} for n in range(20)]
    file.write_text(table(pairs))
    columns = ["--pair-column", "second", "--group-column", "genre"]
    done = CliRunner().invoke(
        app, ["evaluate", str(file), "--model", "tiny", "--method", "sts", *columns, "--url", url]
    )
    assert done.exit_code == 0, done.output
    assert "| model | Spearman | Pearson |" in done.stdout and "| a | 10 |" in done.stdout
    job = http.get(f"{url}{PATH}").json()["data"][0]
    assert (job["methods"], job["pair_column"], job["verdict"]["measure"]) == (["sts"], "second", "spearman")
    report = http.get(f"{url}{PATH}/{job['id']}/artifacts/report.json").json()
    assert report["complete"] and report["data"]["items"] == 20


@pytest.mark.parametrize(
    ("change", "status", "param", "message"),
    [
        ({"models": ["none"]}, 404, "models.0", "does not exist"),
        ({"models": ["tiny", "tiny@1"]}, 422, "models", "twice"),
        ({"models": []}, 422, "models", "at least 1"),
        ({"file": "file-0"}, 404, "file", "no file"),
        ({"label_column": "wrong"}, 422, "file", "Set label_column to one of them"),
        ({"label_column": "sentence"}, 422, None, "must differ"),
        ({"methods": ["magic"]}, 422, "methods.0", "magic"),
        ({"label_type": "numbers", "label_separator": ";"}, 422, None, "for the label_type labels"),
        ({"labels_per_class": [0]}, 422, "labels_per_class.0", "0"),
        ({"seeds": 0}, 422, "seeds", "1"),
        ({"publish": ""}, 422, "publish", "the name of a model"),
        ({"publish": "a b"}, 422, "publish", "not a model name"),
        ({"publish": "tiny"}, 422, "publish", "does not classify"),
        ({"publish": 1}, 422, "publish", "publish"),
        ({"publish": True, "methods": ["knn"]}, 422, None, "linear_probe"),
        ({"validation_file": "file-0"}, 422, None, "either"),
        ({"methods": ["sts", "knn"]}, 422, None, "the only method"),
        ({"methods": ["sts"], "seeds": 3}, 422, None, "does not use `split_column`, `seeds`"),
        ({"methods": ["sts"], "split_column": None, "pair_column": "topic"}, 422, None, "must differ"),
        ({"methods": ["sts"], "split_column": None}, 422, "file", "Set pair_column to one of them"),
        ({"pair_column": "part"}, 422, None, "are for the methods sts and minimal_pairs"),
    ],
)
def test_requests_that_cannot_be_evaluated_are_refused(
    url: str, uploaded: str, change: dict[str, Any], status: int, param: str | None, message: str
) -> None:
    answer = http.post(f"{url}{PATH}", json={"models": ["tiny"], "file": uploaded, **COLUMNS, **change})
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert message in error["message"]
    assert param is None or str(error["param"]).startswith(param)


@pytest.fixture(scope="module")
def uploaded(url: str) -> str:
    return upload(url, "topics.jsonl", table(ROWS))


def test_one_class_only_is_an_error_before_the_job(url: str) -> None:
    file = upload(url, "one.csv", "text,label\na,x\nb,x\nc,x\nd,x\n")
    answer = http.post(f"{url}{PATH}", json={"models": ["tiny"], "file": file})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_data")
    assert "every label is 'x'" in answer.json()["error"]["message"]
