"""Admission of /v1/tokenize, and long texts."""

import json
import threading
from collections.abc import Iterator

from fastapi.testclient import TestClient

from app.api.schemas.tokenize import TokenizeRequest
from app.inference.service import Answer
from app.inference.tokenization import tokenize_all
from app.methods.tokenizers import TokenizerReport
from app.modalities.text.items import TokenInfo
from app.system.concurrency import ConcurrencyLimiter


def report() -> TokenizerReport:
    return TokenizerReport(type="base", reason="", vocabulary=9, tokens=6, unknown_share=0.0, lossless=True)


def spell(text: str) -> Iterator[TokenInfo]:
    for place, letter in enumerate(text):
        yield TokenInfo(place, letter, False, place, place + 1)


def test_parts_are_written_as_one_list() -> None:
    texts = ["abcde", "f"]
    request = TokenizeRequest(input=texts)
    in_parts, whole = (
        json.loads(request.write(Answer("m@1", tokenize_all(spell, texts, threading.Event(), part=size)), report))
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


def test_the_losses_of_a_stored_tokenizer_are_reported(client: TestClient) -> None:
    answer = client.post("/v1/tokenize", json={"model": "full", "input": "The lions  ☃"}).json()
    found = answer["tokenizer"]
    assert answer["model"] == "full@1"
    assert (found["type"], found["unit"], found["lossless"]) == ("base", "word", True)
    assert (found["unknown_share"], found["lost"]) == (0.0, [])
    assert found["tokens"] == len([token for token in answer["data"][0]["tokens"] if not token["special"]])
