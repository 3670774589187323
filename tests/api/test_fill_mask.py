import pytest
from fastapi.testclient import TestClient

from app.inference.limits import RequestLimits
from app.inference.tasks import BOUNDS
from app.modalities.text.items import MAX_ROWS, FillMaskItem
from app.types import Task
from tests.fakes.objective import MASK, WORDS, FakeObjective, token_id


def test_one_mask(client: TestClient) -> None:
    answer = client.post("/v1/fill-mask", json={"input": f"The {MASK} hunts."})

    assert answer.status_code == 200
    body = answer.json()
    assert body.keys() == {"object", "model", "data", "usage"}
    assert (body["object"], body["model"]) == ("fill_mask", "full@1")
    assert body["usage"] == {"prompt_tokens": 4, "total_tokens": 4}
    [filled] = body["data"]
    [mask] = filled["masks"]
    assert (filled["index"], mask["position"], mask["start"], mask["end"]) == (0, 1, 4, 10)
    assert [c["token_str"] for c in mask["candidates"]] == list(WORDS[:5])
    assert mask["candidates"][0] == {
        "score": 0.5,
        "token": token_id("lion"),
        "token_str": "lion",
        "sequence": "The lion hunts.",
    }


def test_several_inputs_and_masks_keep_their_order(client: TestClient) -> None:
    inputs = [f"{MASK} and {MASK}", f"only {MASK}"]

    body = client.post("/v1/fill-mask", json={"model": "org/slashed", "input": inputs, "top_k": 2}).json()

    assert body["model"] == "org/slashed@1"
    assert [[len(mask["candidates"]) for mask in filled["masks"]] for filled in body["data"]] == [[2, 2], [2]]
    assert [filled["index"] for filled in body["data"]] == [0, 1]


def test_targets(client: TestClient) -> None:
    body = client.post("/v1/fill-mask", json={"input": MASK, "targets": ["tea", "milk"]}).json()

    assert [c["token_str"] for c in body["data"][0]["masks"][0]["candidates"]] == ["tea", "milk"]


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({"input": "no mask"}, 422, "no_mask", "input"),
        ({"input": " ".join([MASK] * 4)}, 422, "too_many_masks", "input"),
        ({"input": " ".join([MASK] + ["long"] * 100)}, 422, "input_too_long", "input"),
        ({"input": ""}, 400, "empty_input", "input"),
        ({"input": []}, 400, "empty_input", "input"),
        ({"input": [MASK, ""]}, 400, "empty_input", "input"),
        ({"input": 7}, 422, "invalid_value", "input"),
        ({"input": [MASK, 7]}, 422, "invalid_value", "input"),
        ({"input": [MASK] * 9}, 422, "invalid_value", "input"),
        ({}, 422, "invalid_value", "input"),
        ({"input": MASK, "top_k": 0}, 422, "invalid_value", "top_k"),
        ({"input": MASK, "top_k": 51}, 422, "invalid_value", "top_k"),
        ({"input": MASK, "top_k": "5"}, 422, "invalid_value", "top_k"),
        ({"input": MASK, "targets": [""]}, 422, "invalid_value", "targets.0"),
        ({"input": MASK, "targets": ["a", "b" * 257]}, 422, "invalid_value", "targets.1"),
        ({"input": MASK, "targets": ["a"] * 1001}, 422, "invalid_value", "targets"),
        ({"input": MASK, "truncate": "yes"}, 422, "invalid_value", "truncate"),
        ({"input": MASK, "truncation_side": "middle"}, 422, "invalid_value", "truncation_side"),
        ({"input": MASK, "normalization": "mean"}, 422, "invalid_value", "normalization"),
        ({"input": MASK, "renormalize": True}, 422, "invalid_value", "renormalize"),
        ({"input": [MASK, MASK], "renormalize": True}, 422, "invalid_value", "renormalize"),
        ({"input": MASK, "renormalize": 1, "targets": ["a"]}, 422, "invalid_value", "renormalize"),
        ({"input": MASK, "topk": 3}, 422, "invalid_value", "topk"),
        ({"input": MASK, "model": "absent"}, 404, "model_not_found", "model"),
        ({"input": MASK, "model": "../../etc"}, 404, "model_not_found", "model"),
        ({"input": MASK, "model": "bare"}, 422, "task_not_supported", "model"),
    ],
)
def test_refusals(make_client, body: dict, status: int, code: str, param: str) -> None:  # type: ignore[no-untyped-def]
    client = make_client(max_masks=3, max_top_k=50, max_request_inputs=8)

    answer = client.post("/v1/fill-mask", json=body)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)
    assert error["message"]
    assert error["type"] == "invalid_request_error"


def test_truncate(client: TestClient, fakes: dict[str, FakeObjective]) -> None:
    long = " ".join([MASK] + ["long"] * 100)

    body = client.post("/v1/fill-mask", json={"input": long, "truncate": True}).json()

    assert body["usage"]["prompt_tokens"] == fakes["full"].max_length


@pytest.mark.parametrize(
    "body",
    [
        {"input": f"{MASK} " + "a" * 70_000, "top_k": 1000},
        {"input": [f"{MASK} {MASK} " + "a" * 9_000] * 4, "top_k": 1000},
        {"input": f"{MASK} " * 64 + "a" * 1_000, "top_k": 1000},
        {"input": f"{MASK} " + "a" * 4_000_000, "num_sequences": 20, "targets": ["tea"]},
    ],
)
def test_an_answer_that_would_be_huge_is_refused_before_any_work(
    client: TestClient, fakes: dict[str, FakeObjective], body: dict[str, object]
) -> None:
    client.post("/v1/models/full/load")
    before = list(fakes["full"].batches)

    answer = client.post("/v1/fill-mask", json=body)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (422, "invalid_value", "top_k")
    assert "repeats its text" in error["message"]
    assert fakes["full"].batches == before


def test_a_large_answer_is_the_same_as_a_small_one(client: TestClient) -> None:
    small = client.post("/v1/fill-mask", json={"input": MASK})
    large = client.post("/v1/fill-mask", json={"input": f"{MASK} " + "a" * 70_000})

    for answer in (small, large):
        assert answer.headers["content-type"] == "application/json"
        assert [c["token_str"] for c in answer.json()["data"][0]["masks"][0]["candidates"]] == list(WORDS[:5])


def test_few_targets_make_few_candidates(client: TestClient) -> None:
    body = {"input": f"{MASK} " + "a" * 70_000, "top_k": 1000, "targets": ["tea"]}
    assert client.post("/v1/fill-mask", json=body).status_code == 200


def test_rows_are_bounded_for_all_inputs_of_a_request() -> None:
    limits = RequestLimits(inputs=9, top_k=9, masks=9, queued_inputs=9, line_bytes=9)
    plain, several = FillMaskItem(MASK), FillMaskItem(MASK, whole_words=True)
    items = BOUNDS[Task.FILL_MASK].limit([plain, several] * 2, limits, {})
    assert [item.max_rows for item in items] == [MAX_ROWS, MAX_ROWS // 4] * 2


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"pattern": ""}, "pattern"),
        ({"pattern": "a" * 501}, "pattern"),
        ({"pattern": ["a"]}, "pattern"),
        ({"words_only": "yes"}, "words_only"),
        ({"no_repeats": 1}, "no_repeats"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"temperature": "1"}, "temperature"),
        ({"sample": -1}, "sample"),
        ({"sample": 1.5}, "sample"),
        ({"sample": 2, "targets": ["tea"]}, "sample"),
        ({"allow": [1]}, "allow.0"),
        ({"ban": {"tea": 1}}, "ban"),
        ({"entropy": True, "whole_words": True}, "whole_words"),
    ],
)
def test_options_of_candidates_at_fault(client: TestClient, options: dict[str, object], param: str) -> None:
    answer = client.post("/v1/fill-mask", json={"input": MASK, **options})
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, param)


@pytest.mark.parametrize(
    ("mask", "param"),
    [
        ({"spans": [[1]]}, "mask.spans.0"),
        ({"spans": [[1, 2, 3]]}, "mask.spans.0"),
        ({"spans": [[-1, 2]]}, "mask.spans.0.0"),
        ({"spans": [["1", 2]]}, "mask.spans.0.0"),
        ({"spans": [[0.5, 2]]}, "mask.spans.0.0"),
        ({"spans": [[True, 2]]}, "mask.spans.0.0"),
        ({"spans": []}, "mask.spans"),
        ({"spans": 7}, "mask.spans"),
        ({"words": [-1]}, "mask.words.0"),
        ({"words": ["a"]}, "mask.words.0"),
        ({"words": [0] * 1001}, "mask.words"),
        ({"ratio": 0}, "mask.ratio"),
        ({"ratio": 2}, "mask.ratio"),
        ({"ratio": "0.5"}, "mask.ratio"),
        ({"ratio": 0.5, "seed": -1}, "mask.seed"),
        ({"ratio": 0.5, "share": 1}, "mask.share"),
        ({}, "mask"),
        ({"ratio": 0.5, "words": [1]}, "mask"),
        ([], "mask"),
        ("ratio", "mask"),
    ],
)
def test_masks_by_meaning_at_fault(client: TestClient, mask: object, param: str) -> None:
    answer = client.post("/v1/fill-mask", json={"input": "the lion sleeps", "mask": mask})
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, param)
