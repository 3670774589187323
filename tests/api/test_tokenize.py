"""Admission of /v1/tokenize, and long texts."""

import json
import threading
from collections.abc import Iterator

from fastapi.testclient import TestClient

from app.api.schemas.tokenize import TokenizeRequest
from app.inference.service import Answer
from app.inference.tokenization import tokenize_all
from app.modalities.text.items import TokenInfo
from app.system.concurrency import ConcurrencyLimiter


def spell(text: str) -> Iterator[TokenInfo]:
    for place, letter in enumerate(text):
        yield TokenInfo(place, letter, False, place, place + 1)


def test_parts_are_written_as_one_list() -> None:
    texts = ["abcde", "f"]
    request = TokenizeRequest(input=texts)
    in_parts, whole = (
        json.loads(request.write(Answer("m@1", tokenize_all(spell, texts, threading.Event(), part=size))))
        for size in (2, 100)
    )
    assert in_parts == whole
    assert [token["text"] for token in whole["data"][0]["tokens"]] == list("abcde")
    assert whole["usage"]["total_tokens"] == 6


def test_nothing_more_is_split_for_a_client_that_left() -> None:
    over = threading.Event()

    def tokens(text: str) -> Iterator[TokenInfo]:
        yield TokenInfo(1, text, False, 0, 1)
        over.set()
        yield TokenInfo(2, text, False, 1, 2)
        raise AssertionError("nobody reads this")

    parts = tokenize_all(tokens, ["a", "b"], over, part=2)
    assert [sum(map(len, each)) for each in parts] == [2, 0]


def test_too_many_at_once_are_told_to_come_back(client: TestClient) -> None:
    inference = client.app.state.services.inference  # type: ignore[attr-defined]
    inference.tokenizing = ConcurrencyLimiter(at_once=0, waiting=0, what="tokenizations")
    answer = client.post("/v1/tokenize", json={"input": "a"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "busy")
