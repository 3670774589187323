"""Admission of /v1/tokenize, and long texts."""

import json
import threading
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from app.api.routes import tokenize
from app.api.routes.tokenize import _answer
from app.api.schemas.tokenize import TokenizeRequest
from app.modalities.text.items import TokenInfo


def test_parts_are_written_as_one_list(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = client.post("/v1/tokenize", json={"input": ["one two three four five", "six"]}).json()
    monkeypatch.setattr(tokenize, "_PART", 2)
    assert client.post("/v1/tokenize", json={"input": ["one two three four five", "six"]}).json() == whole
    assert [token["text"] for token in whole["data"][0]["tokens"]] == ["one", "two", "three", "four", "five"]


def test_nothing_more_is_split_for_a_client_that_left(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def tokens(text: str) -> Iterator[TokenInfo]:
        yield TokenInfo(1, text, False, 0, 1)
        over.set()
        yield TokenInfo(2, text, False, 1, 2)
        raise AssertionError("nobody reads this")

    monkeypatch.setattr(tokenize, "_PART", 2)
    answer = json.loads(_answer("m@1", tokens, TokenizeRequest(input=["a", "b"]), over))
    assert [len(entry["tokens"]) for entry in answer["data"]] == [2, 0]


def test_too_many_at_once_are_told_to_come_back(client: TestClient) -> None:
    turns = client.app.state.services.tokenizing  # type: ignore[attr-defined]
    turns._here = turns._most
    answer = client.post("/v1/tokenize", json={"input": "a"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "busy")
