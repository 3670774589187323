"""JSON bodies that are odd, or made to become large."""

import gzip
import json
import random
import re

import pytest
from fastapi.testclient import TestClient

from app.api.wire.body import MAX_CONTAINERS, MAX_VALUES, parse_json
from app.api.wire.json_text import count_outside_strings, replace_lone_surrogates
from app.errors import BadRequest

JSON = {"content-type": "application/json"}
PIECES = [*'"\\ua,[]{}', "\\\\", '\\"', "\\n", "\\ud83d", "\\uDE00", "\\ud83d\\ude00", "\\u00e9", "é", '"a"', "12"]
STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


@pytest.mark.parametrize("seed", range(30))
def test_counts_and_repairs_are_those_of_a_slow_reader(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(30):
        strings = ["".join(rng.choices(PIECES, k=rng.randint(0, 9))) for _ in range(4)]
        values = [f'"{string}"' for string in strings if STRING.fullmatch(f'"{string}"')] + ["[1]", "{}", "null"]
        text = f"[{','.join(values)}]"
        outside = STRING.sub("", text)
        assert count_outside_strings(text.encode(), b"[{,") == [outside.count(character) for character in "[{,"]
        try:
            expected = json.loads(text)
        except ValueError:
            continue  # such as \u without its digits
        repaired = json.loads(replace_lone_surrogates(text.encode()))
        assert repaired == [
            re.sub("[\ud800-\udfff]", "\ufffd", each) if isinstance(each, str) else each for each in expected
        ]
        assert parse_json(text.encode()) == repaired


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"cut \ud83d"', "cut \ufffd"),
        (r'"other half \ude00 x"', "other half \ufffd x"),
        (r'"\ud83d\ud83d\ude00\ude00"', "\ufffd😀\ufffd"),
        (r'"\\ud83d \ude00"', "\\ud83d \ufffd"),
        (r'"\\\ud83d"', "\\\ufffd"),
        ('\ufeff"a"', "a"),
    ],
)
def test_what_the_grammar_allows_is_read(text: str, value: str) -> None:
    assert parse_json(text.encode()) == value


@pytest.mark.parametrize("text", [r'"\ud83"', r'"\ud8zz \ud83d"', r'"\ud83d', r"\ud83d", '"\\'])
def test_what_it_does_not_allow_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="not valid JSON"):
        parse_json(text.encode())


@pytest.mark.parametrize(
    ("element", "count", "says"),
    [
        ("[1]", MAX_CONTAINERS, "arrays and objects"),
        ("[]", MAX_CONTAINERS, "arrays and objects"),
        ('{"a":1}', MAX_CONTAINERS, "arrays and objects"),
        ("null", MAX_VALUES + 1, "has at least"),
        ('"a"', MAX_VALUES + 1, "has at least"),
    ],
)
def test_a_body_that_would_become_large_is_refused(client: TestClient, element: str, count: int, says: str) -> None:
    content = f'{{"input": [{",".join([element] * count)}]}}'
    answer = client.post("/v1/embeddings", content=content, headers=JSON)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
    assert says in answer.json()["error"]["message"]


def test_commas_and_brackets_of_a_text_are_not_counted() -> None:
    body = {"input": ',[{"' * MAX_VALUES}
    assert parse_json(json.dumps(body).encode()) == body


def test_too_many_inputs_are_counted_before_each_is_looked_at(client: TestClient) -> None:
    for path, body in (
        ("/v1/embeddings", {"input": ["a"] * 100_000}),
        ("/v1/score", {"input": ["a"] * 100_000}),
        ("/models/full/pipeline/feature-extraction", {"inputs": ["a"] * 100_000}),
        ("/models/full", {"inputs": {"source_sentence": "a", "sentences": ["a"] * 100_000}}),
    ):
        answer = client.post(path, json=body)
        assert answer.status_code == 422
        assert "holds 100000 inputs; one request may hold 2048" in answer.json()["error"]["message"]


def test_an_object_of_many_fields_is_found_wherever_it_is() -> None:
    fields = {str(index): index for index in range(1001)}
    for value in (fields, [fields], [[{"a": [fields]}]]):
        with pytest.raises(BadRequest, match="1001 fields"):
            parse_json(json.dumps(value).encode())


def test_half_an_emoji_is_read_in_bodies_and_lines(client: TestClient) -> None:
    content = r'{"input": ["fine", "cut emoji \ud83d"]}'
    assert client.post("/v1/embeddings", content=content, headers=JSON).status_code == 200
    lines = client.post("/v1/embeddings", content=r'"\ude00 x"', headers={"content-type": "application/x-ndjson"})
    assert "embedding" in lines.json()


@pytest.mark.parametrize("media_type", ["application/json", "application/x-ndjson"])
def test_a_compressed_body_is_told_as_one(client: TestClient, media_type: str) -> None:
    headers = {"content-type": media_type, "content-encoding": "gzip"}
    answer = client.post("/v1/embeddings", content=gzip.compress(b'{"input": "a"}'), headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")
