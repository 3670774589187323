"""What text tasks say over HTTP, with a real tiny model; the fakes of conftest.py stand in everywhere else."""

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from app.store.store import ModelStore
from tests.fakes.imports import import_folder
from tests.fakes.tiny_models import tiny_bert_folder, tiny_classifier_folder

TEXT = "The [MASK] of France is [MASK]."


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("served")
    store = ModelStore(folder / "store")
    import_folder(store, tiny_bert_folder(folder / "text"), "tiny")
    import_folder(store, tiny_bert_folder(folder / "bare", head=False), "bare")
    import_folder(store, tiny_classifier_folder(folder / "cross", labels=("relevant",)), "cross")
    settings = Settings(var_dir=folder / "var", default_model="tiny", device="cpu", dtype="float32", forwards=2)
    with TestClient(create_app(settings, store=store)) as client:
        yield client


def refusal(answer: Any) -> tuple[int, str, str]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]


def test_sequences_beside_the_masks(client: TestClient) -> None:
    plain = client.post("/v1/fill-mask", json={"input": TEXT}).json()
    body = client.post("/v1/fill-mask", json={"input": [TEXT, "[MASK]"], "num_sequences": 3}).json()

    assert plain["data"][0].keys() == {"index", "masks"}
    assert [len(filled["sequences"]) for filled in body["data"]] == [3, 3]
    best = body["data"][0]["sequences"][0]
    assert best.keys() == {"sequence", "log_prob", "pseudo_log_prob", "score_per_token", "tokens", "lengths"}
    assert [token.keys() for token in best["tokens"]] == [{"token", "token_str"}] * 2
    assert best["log_prob"] < 0 and "[MASK]" not in best["sequence"]
    log_probs = [each["pseudo_log_prob"] for each in body["data"][0]["sequences"]]
    assert log_probs == sorted(log_probs, reverse=True)


def test_candidates_of_several_tokens(client: TestClient) -> None:
    body = {"input": TEXT, "targets": ["lions", "the lions"], "normalization": "length"}
    for options in (body, {"input": TEXT, "whole_words": True}):
        masks = client.post("/v1/fill-mask", json=options).json()["data"][0]["masks"]
        best = masks[0]["candidates"][0]
        assert best.keys() == {
            *("score", "log_prob", "score_per_token"),
            *("token", "token_str", "tokens", "target", "sequence"),
        }
        assert best["token"] == (best["tokens"][0]["token"] if len(best["tokens"]) == 1 else None)


def test_spans_and_strategies_of_a_request_and_of_a_stream(client: TestClient) -> None:
    options = {"decode": "gibbs", "seed": 7, "order": "left-to-right", "num_sequences": 2}
    text = "The [MASK:1-2] chase."
    [whole] = client.post("/v1/fill-mask", json={"input": text} | options).json()["data"]
    headers = {"content-type": "application/x-ndjson"}
    line = client.post("/v1/fill-mask", params=options, content=json.dumps(text) + "\n", headers=headers).json()
    assert [each["sequence"] for each in line["sequences"]] == [each["sequence"] for each in whole["sequences"]]
    assert whole["masks"][0] == {"position": 2, "start": 4, "end": 14, "candidates": []}


def test_an_unclosed_span_is_text(client: TestClient) -> None:
    [mask] = client.post("/v1/fill-mask", json={"input": "The [MASK] sees [MASK:1", "top_k": 2}).json()["data"][0][
        "masks"
    ]
    assert (mask["start"], mask["end"], len(mask["candidates"])) == (4, 10, 2)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"decode": "best"}, "decode"),
        ({"decode": "greedy", "num_sequences": 2}, "num_sequences"),
        ({"order": "right"}, "order"),
        ({"seed": -1}, "seed"),
        ({"overflow": "windows", "truncate": True}, "overflow"),
        ({"overflow": "windows", "num_sequences": 2}, "overflow"),
        ({"overflow": "windows", "stride": 50}, "stride"),
        ({"overflow": "cut"}, "overflow"),
        ({"stride": 5}, "stride"),
        ({"renormalize": True}, "renormalize"),
        ({"whole_words": "yes"}, "whole_words"),
        ({"whole_words": True, "targets": ["lions"]}, "whole_words"),
        ({"targets": ["lions"], "input": "The [MASK:2]."}, "targets"),
        ({"input": "The [MASK:0]."}, "input"),
        ({"targets": ["the lions " * 9]}, "targets"),
    ],
)
def test_options_of_fill_mask_are_checked(client: TestClient, body: dict[str, Any], param: str) -> None:
    answer = client.post("/v1/fill-mask", json={"input": TEXT} | body)
    assert refusal(answer) == (422, "invalid_value", param)


def test_windows_and_renormalized_filters_of_a_request_and_of_a_stream(client: TestClient) -> None:
    options = {"overflow": "windows", "stride": 5, "words_only": True, "renormalize": True, "top_k": 500}
    text = "The [MASK] " + "chase the " * 60 + "[MASK]."
    body = client.post("/v1/fill-mask", json={"input": text} | options).json()
    [whole] = body["data"]
    assert [text[mask["start"] : mask["end"]] for mask in whole["masks"]] == ["[MASK]", "[MASK]"]
    assert body["usage"]["prompt_tokens"] == 2 * 64
    assert sum(each["score"] for each in whole["masks"][0]["candidates"]) == pytest.approx(1, abs=1e-3)
    headers = {"content-type": "application/x-ndjson"}
    line = client.post("/v1/fill-mask", params=options, content=json.dumps(text) + "\n", headers=headers).json()
    for mask, streamed in zip(whole["masks"], line["masks"], strict=True):
        best = [(each["token"], pytest.approx(each["score"], rel=1e-4)) for each in mask["candidates"][:5]]
        assert [(each["token"], each["score"]) for each in streamed["candidates"][:5]] == best


@pytest.mark.parametrize("value", [-1, 21, "3", 1.5])
def test_num_sequences_is_checked(client: TestClient, value: Any) -> None:
    answer = client.post("/v1/fill-mask", json={"input": TEXT, "num_sequences": value})
    assert refusal(answer) == (422, "invalid_value", "num_sequences")


def test_scores(client: TestClient) -> None:
    inputs = ["The lions chase the zebras.", "zebras"]
    body = client.post("/v1/score", json={"input": inputs, "top_k": 2}).json()

    assert (body["object"], body["model"]) == ("score", "tiny@1")
    assert [scored["index"] for scored in body["data"]] == [0, 1]
    scored = body["data"][0]
    assert scored.keys() == {"index", "log_likelihood", "pseudo_perplexity", "tokens"}
    assert scored["tokens"][0].keys() == {
        "token", "token_str", "start", "end", "word", "log_prob", "rank", "candidates",
    }  # fmt: skip
    assert scored["tokens"][0]["candidates"][0].keys() == {"score", "token", "token_str"}
    assert sum(token["log_prob"] for token in scored["tokens"]) == pytest.approx(scored["log_likelihood"])
    assert [len(token["candidates"]) for token in scored["tokens"]] == [2] * len(scored["tokens"])
    assert body["usage"]["prompt_tokens"] == sum(len(scored["tokens"]) + 2 for scored in body["data"])
    alone = client.post("/v1/score", json={"input": inputs[0], "method": "original"}).json()
    assert alone["data"][0]["tokens"][0]["candidates"] == []


def test_scores_in_windows(client: TestClient) -> None:
    long = "the lions chase " * 30
    body = client.post("/v1/score", json={"input": [long, "the"], "overflow": "windows", "stride": 0}).json()
    assert [len(scored["tokens"]) for scored in body["data"]] == [90, 1]
    assert body["usage"]["prompt_tokens"] == 64 + 64 + 3
    pair = {"pairs": [{"good": long, "bad": "the " * 70}], "overflow": "windows"}
    assert client.post("/v1/score", json=pair).json()["data"][0]["preferred"] in ("good", "bad")


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({"input": ""}, 400, "empty_input", "input"),
        ({"input": "[MASK]"}, 422, "invalid_value", "input"),
        ({"input": "a", "method": "best"}, 422, "invalid_value", "method"),
        ({"input": "a", "top_k": 21}, 422, "invalid_value", "top_k"),
        ({"input": "a", "top_k": -1}, 422, "invalid_value", "top_k"),
        ({"input": "the " * 99}, 422, "input_too_long", "input"),
        ({"input": "a", "model": "bare"}, 422, "task_not_supported", "model"),
        ({"input": "a", "targets": ["b"]}, 422, "invalid_value", "targets"),
    ],
)
def test_scores_that_are_refused(client: TestClient, body: Any, status: int, code: str, param: str) -> None:
    assert refusal(client.post("/v1/score", json=body)) == (status, code, param)


def test_pairs_and_candidates(client: TestClient) -> None:
    texts = ["The lions chase the zebras.", "The lions chases."]
    pairs = [dict(zip(("good", "bad"), each, strict=True)) for each in (texts, texts[::-1], [texts[0]] * 2)]
    body = client.post("/v1/score", json={"pairs": pairs}).json()
    assert [each["preferred"] for each in body["data"]] in (["good", "bad", "tie"], ["bad", "good", "tie"])
    assert body["accuracy"] == pytest.approx(1 / 3)
    alone = client.post("/v1/score", json={"input": texts}).json()
    figures = [{name: each[name] for name in ("log_likelihood", "pseudo_perplexity")} for each in alone["data"]]
    assert body["data"][0]["good"] == pytest.approx(figures[0], rel=1e-4)
    assert body["usage"]["total_tokens"] == 2 * alone["usage"]["total_tokens"] + 2 * (
        len(alone["data"][0]["tokens"]) + 2
    )

    asked = {"input": ["The [MASK] chase.", "[MASK]!"], "candidates": ["lions", "big zebras"]}
    ranked = client.post("/v1/score", json=asked | {"rank_by": "pseudo_perplexity"}).json()["data"]
    for each in ranked:
        assert {found["candidate"] for found in each["candidates"]} == {"lions", "big zebras"}
        perplexities = [found["pseudo_perplexity"] for found in each["candidates"]]
        assert perplexities == sorted(perplexities)


PAIR = {"good": "a", "bad": "the"}


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"pairs": []}, 422, "pairs"),
        ({"pairs": [PAIR], "input": "a"}, 422, "input"),
        ({"pairs": [PAIR] * 2000}, 422, "pairs"),
        ({"pairs": [PAIR] * 3000}, 422, "pairs"),
        ({"pairs": [PAIR, {"good": "a"}]}, 422, "pairs.1.bad"),
        ({"pairs": [PAIR, {"good": "a", "bad": "the " * 99}]}, 422, "pairs"),
        ({"pairs": [PAIR], "top_k": 1}, 422, "top_k"),
        ({"pairs": [PAIR], "method": "masked-marginals"}, 422, "method"),
        ({"input": "[MASK]", "candidates": []}, 422, "candidates"),
        ({"input": "[MASK]", "candidates": [""]}, 422, "candidates.0"),
        ({"input": "a", "candidates": ["a"]}, 422, "input"),
        ({"input": ["[MASK]"] * 100, "candidates": ["a"] * 100}, 422, "candidates"),
        ({"input": "[MASK]", "candidates": ["a"], "variants": "all"}, 422, "variants"),
        ({"input": "[MASK]", "candidates": ["a"], "truncate": True}, 422, "truncate"),
        ({"input": "[MASK]", "candidates": ["a"], "overflow": "windows"}, 422, "overflow"),
        ({"input": "a", "stride": 1}, 422, "stride"),
        ({"input": "a", "overflow": "windows", "stride": 60}, 422, "stride"),
        ({"input": "[MASK]", "candidates": ["a"], "rank_by": "size"}, 422, "rank_by"),
        ({"input": "a", "rank_by": "pseudo_perplexity"}, 422, "rank_by"),
        ({"input": "a", "offset": 3}, 422, "offset"),
        ({"input": "a", "variants": []}, 422, "variants"),
        ({"input": "a", "variants": ["A1G", 5]}, 422, "variants.1"),
        ({"input": ["a", "b"], "variants": "a1b"}, 422, "input"),
        ({"input": "a", "variants": "a1b", "offset": -1}, 422, "offset"),
        ({"input": "a", "variants": "a1b", "method": "original"}, 422, "method"),
        ({"input": "a", "variants": "a1b", "letters": "abc"}, 422, "letters"),
        ({"input": "a", "variants": "all", "letters": "a b"}, 422, "letters"),
        ({"input": "a", "variants": ["A1G:" * 60 + "A1G"] * 2000}, 422, "variants"),
        ({"variants": "all"}, 422, "input"),
        ({"input": "lions", "variants": "l1b"}, 422, "input"),
    ],
)
def test_questions_that_are_refused(client: TestClient, body: Any, status: int, param: str) -> None:
    found = client.post("/v1/score", json=body)
    assert (found.status_code, found.json()["error"]["param"]) == (status, param)


def test_variants_of_a_text_whose_letters_are_tokens(client: TestClient) -> None:
    body = client.post("/v1/score", json={"input": "a b c", "variants": ["a5b", "a5a"], "offset": 5}).json()
    assert [each["variant"] for each in body["data"][0]["variants"]] == ["a5b", "a5a"]
    assert body["data"][0]["variants"][1]["score"] == 0
    everything = client.post("/v1/score", json={"input": "a b", "variants": "all", "letters": "ab"}).json()
    assert [each["variant"] for each in everything["data"][0]["variants"]] == ["a1b", "b2a"]


def test_a_model_with_a_head_says_that_it_scores(client: TestClient) -> None:
    tasks = {model["id"]: set(model["tasks"]) for model in client.get("/v1/models").json()["data"]}
    assert tasks == {
        "tiny": {"fill-mask", "score", "embeddings"},
        "bare": {"embeddings"},
        "cross": {"embeddings", "classify"},
    }


def test_sparse_vectors_rank_documents_by_their_dot_product(client: TestClient) -> None:
    texts = ["Where do lions hunt?", "The lions chase the zebras.", "Water boils at 100 degrees."]
    body = client.post("/v1/embeddings", json={"input": texts, "output": "sparse", "top_k": 10_000}).json()
    query, *documents = [{each["index"]: each["value"] for each in entry["embedding"]} for entry in body["data"]]
    expected = [sum(query[index] * value for index, value in each.items() if index in query) for each in documents]

    asked = {"query": texts[0], "documents": texts[1:], "method": "sparse"}
    ranking = client.post("/v1/rerank", json=asked).json()
    assert ranking["method"] == "sparse"
    found = {each["index"]: each["relevance_score"] for each in ranking["results"]}
    assert [found[0], found[1]] == pytest.approx(expected, rel=1e-5)
    assert refusal(client.post("/v1/rerank", json=asked | {"model": "bare"})) == (422, "invalid_value", "method")
    many = asked | {"documents": ["a"] * 256}
    assert refusal(client.post("/v1/rerank", json=many)) == (422, "invalid_value", "documents")
    few = {"input": "a", "output": "sparse", "top_k": 2}
    (entry,) = client.post("/v1/embeddings", json=few).json()["data"]
    assert len(entry["embedding"]) == 2 and entry["embedding"][0].keys() == {"token", "index", "value"}
    for name, value in {"dimensions": 4, "pooling": "cls", "embedding_types": ["int8"]}.items():
        assert refusal(client.post("/v1/embeddings", json=few | {name: value})) == (422, "invalid_value", name)


def test_a_cross_encoder_ranks_by_its_scores(client: TestClient) -> None:
    documents = ["The lions chase the zebras.", "Water boils at 100 degrees."]
    pairs = [{"text": "Where do lions hunt?", "text_pair": document} for document in documents]
    classified = client.post("/v1/classify", json={"model": "cross", "input": pairs}).json()["data"]
    expected = [each["scores"][0]["score"] for each in classified]

    asked = {"model": "cross", "query": "Where do lions hunt?", "documents": documents}
    ranking = client.post("/v1/rerank", json=asked).json()
    assert ranking["method"] == "cross_encoder"
    found = {each["index"]: each["relevance_score"] for each in ranking["results"]}
    assert [found[0], found[1]] == pytest.approx(expected)
    raw = client.post("/v1/rerank", json=asked | {"raw_scores": True, "documents": documents[:1]}).json()["results"]
    assert 1 / (1 + math.exp(-raw[0]["relevance_score"])) == pytest.approx(expected[0])
    long = asked | {"documents": [documents[0], "word " * 100], "truncate": False}
    assert refusal(client.post("/v1/rerank", json=long)) == (422, "input_too_long", "documents")
    compared = {"model": "cross", "source": documents, "targets": documents[:1], "function": "dot"}
    assert refusal(client.post("/v1/similarity", json=compared)) == (422, "invalid_value", "function")
