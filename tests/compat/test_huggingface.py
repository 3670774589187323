"""The shapes of Hugging Face's answers; test_clients.py has its own client."""

from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from tests.fakes.objective import DIMENSIONS, MASK, WORDS


def ask(client: TestClient, task: str, model: str = "full", **body: Any) -> Any:
    answer = client.post(f"/models/{model}/pipeline/{task}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


ONE, TWO = f"The {MASK} hunts.", f"The {MASK} hunts the {MASK}."


def test_fill_mask_nesting(client: TestClient) -> None:
    one, two = ask(client, "fill-mask", inputs=ONE), ask(client, "fill-mask", inputs=TWO)

    assert one[0].keys() == {"score", "token", "token_str", "sequence"}
    assert [candidate["token_str"] for candidate in one] == list(WORDS[:5])
    assert [len(mask) for mask in two] == [5, 5]
    assert ask(client, "fill-mask", inputs=[ONE, TWO]) == [one, two]
    assert ask(client, "fill-mask", inputs=[ONE]) == one  # the pipeline unwraps a list of one
    assert ask(client, "fill-mask", inputs=[TWO]) == two


def test_fill_mask_parameters(client: TestClient) -> None:
    assert len(ask(client, "fill-mask", inputs=ONE, parameters={"top_k": 2})) == 2
    assert len(ask(client, "fill-mask", inputs=ONE, parameters={"targets": None})) == 5
    for targets in ("tea", ["tea"]):
        [only] = ask(client, "fill-mask", inputs=ONE, parameters={"targets": targets}, options={"use_cache": False})
        assert only["token_str"] == "tea"


def test_feature_extraction_nesting(client: TestClient) -> None:
    def shape(inputs: object, **options: Any) -> tuple[int, ...]:
        return np.array(ask(client, "feature-extraction", inputs=inputs, **options)).shape

    assert shape("a lion") == (DIMENSIONS,)
    assert shape(["a lion"]) == (1, DIMENSIONS)
    assert shape(["a lion", "one deer runs"]) == (2, DIMENSIONS)
    assert shape("a lion", dimensions=3, truncate_dim="force") == (3,)
    assert shape("a lion runs", parameters={"pooling": "none"}) == (1, 3, DIMENSIONS)
    assert shape(["a lion runs"], pooling="none") == (1, 1, 3, DIMENSIONS)
    assert shape("a lion runs", pooling="none", normalize=False, dimensions=3) == (1, 3, 3)


def test_a_large_answer_is_written_whole(client: TestClient) -> None:
    answer = np.array(ask(client, "feature-extraction", inputs=["a lion runs " * 30] * 20, pooling="none"))
    assert answer.shape == (20, 1, 64, DIMENSIONS)
    assert np.linalg.norm(answer[19, 0, 63]) == pytest.approx(1)


def test_feature_extraction_options(client: TestClient) -> None:
    long = " ".join(["long"] * 100)
    cut = ask(client, "feature-extraction", inputs=long)  # truncated unless asked otherwise
    for side in ("Right", "right", "Left", "left"):
        assert ask(client, "feature-extraction", inputs=long, truncate=True, truncation_direction=side) == cut
    assert np.linalg.norm(cut) == pytest.approx(1)
    assert np.linalg.norm(ask(client, "feature-extraction", inputs="a b", normalize=False)) != pytest.approx(1)
    beside = ask(client, "feature-extraction", inputs="a b", normalize=False, parameters={"normalize": True})
    assert np.linalg.norm(beside) != pytest.approx(1)


def test_sentence_similarity(client: TestClient) -> None:
    inputs = {"source_sentence": "a lion", "sentences": ["a lion", "one deer runs"]}

    same, other = ask(client, "sentence-similarity", inputs=inputs, parameters={})

    assert same == pytest.approx(1)
    assert -1 <= other < 1


def test_the_bare_url_picks_the_task(client: TestClient) -> None:
    def bare(model: str, inputs: object) -> Any:
        return client.post(f"/models/{model}", json={"inputs": inputs}).json()

    assert bare("org/slashed", ONE) == ask(client, "fill-mask", "org%2Fslashed", inputs=ONE)
    assert bare("bare", "a lion") == ask(client, "feature-extraction", "bare", inputs="a lion")
    assert len(bare("full", {"source_sentence": "a", "sentences": ["b", "c"]})) == 2


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("full/pipeline/text-generation", {"inputs": ONE}, 404, None),
        ("absent/pipeline/fill-mask", {"inputs": ONE}, 404, "model"),
        ("bare/pipeline/fill-mask", {"inputs": ONE}, 422, "model"),
        ("full/pipeline/fill-mask", {"inputs": "no mask"}, 422, "input"),
        ("full/pipeline/fill-mask", {"inputs": " ".join([MASK] + ["long"] * 100)}, 422, "input"),
        ("full/pipeline/fill-mask", {}, 422, "inputs"),
        ("full/pipeline/fill-mask", {"inputs": ""}, 400, "input"),
        ("full/pipeline/fill-mask", {"inputs": ONE, "parameters": {"top_k": 0}}, 422, "parameters.top_k"),
        ("full/pipeline/fill-mask", {"inputs": ONE, "parameters": {"top_k": 1001}}, 422, "parameters.top_k"),
        ("full/pipeline/fill-mask", {"inputs": ONE, "parameters": {"targets": "a" * 257}}, 422, "parameters.targets.0"),
        ("full/pipeline/fill-mask", {"inputs": ONE, "parameters": {"targets": 7}}, 422, "parameters.targets"),
        (
            "full/pipeline/fill-mask",
            {"inputs": ONE + " a" * 50_000, "parameters": {"top_k": 1000}},
            422,
            "parameters.top_k",
        ),
        ("full/pipeline/fill-mask", {"inputs": ONE, "parameters": {"k": 1}}, 422, "parameters.k"),
        ("full/pipeline/feature-extraction", {"inputs": "a", "prompt_name": "q" * 101}, 422, "prompt_name"),
        (
            "full/pipeline/feature-extraction",
            {"inputs": "a", "truncation_direction": "up"},
            422,
            "truncation_direction",
        ),
        ("full/pipeline/sentence-similarity", {"inputs": "a"}, 422, "inputs"),
        (  # 64 tokens each: a vector a token would be too much, one an input is not
            "full/pipeline/feature-extraction",
            {"inputs": ["a " * 100] * 100, "pooling": "none", "dimensions": 1000},
            422,
            "inputs",
        ),
        (
            "full/pipeline/sentence-similarity",
            {"inputs": {"source_sentence": "a", "sentences": []}},
            422,
            "inputs.sentences",
        ),
        ("full", [], 422, None),
    ],
)
def test_refusals(client: TestClient, path: str, body: object, status: int, param: str | None) -> None:
    answer = client.post(f"/models/{path}", json=body)

    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (status, param), error
