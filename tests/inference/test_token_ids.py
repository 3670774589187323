"""Token ids of OpenAI's vocabulary, by a real encoding of tiktoken whose tokens are bytes and a few words."""

import builtins
from typing import Any

import pytest
import tiktoken

from app.errors import InvalidValue
from app.inference.token_ids import TokenIdReader, build_reader
from app.modalities.embedding import EmbedItem

RANKS = {bytes([byte]): byte for byte in range(256)} | {b"he": 256, b"hel": 257}
ENCODING = tiktoken.Encoding(name="small", pat_str=r"\w+|\W", mergeable_ranks=RANKS, special_tokens={"<|end|>": 300})
READER = TokenIdReader(encoding=ENCODING)


def item(ids: tuple[int, ...] | str, **options: Any) -> EmbedItem:
    return EmbedItem(ids, **options)


@pytest.mark.parametrize("text", ["hello", "Grüße, がん 🦁", " \n"])
def test_ids_become_their_text(text: str) -> None:
    ids = tuple(ENCODING.encode(text))
    assert READER.read(item(ids), "input").input == text


def test_a_character_that_the_client_has_cut_is_left_out() -> None:
    ids = tuple(ENCODING.encode("がna🦁"))
    assert READER.read(item(ids[1:-2]), "input").input == "na"
    four = tuple(ENCODING.encode("🦁 hi"))
    assert [READER.read(item(four[cut:]), "input").input for cut in (1, 2, 3)] == [" hi"] * 3


@pytest.mark.parametrize("ids", [(104, 10**6), (104, 299), (104, 0xFF, 104), (104, 2**40)])
def test_ids_without_a_text_are_an_error(ids: tuple[int, ...]) -> None:
    with pytest.raises(InvalidValue) as caught:
        READER.read(item(ids), "input")
    assert caught.value.param == "input"


def test_texts_and_ids_of_the_models_own_stay_as_they_are() -> None:
    for each in (item("hello"), item((1, 2), token_ids=True)):
        assert READER.read(each, "input") is each
        assert TokenIdReader().read(each, "input") is each
    assert build_reader("model").read(item((1, 2)), "input").input == (1, 2)
    with pytest.raises(InvalidValue, match="token_ids"):
        build_reader("refuse").read(item((1, 2)), "inputs")


def test_a_missing_package_and_a_missing_vocabulary_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> tiktoken.Encoding:
        raise OSError("no network")

    monkeypatch.setattr(tiktoken, "get_encoding", refuse)
    with pytest.raises(InvalidValue, match=r"no network.*TIKTOKEN_CACHE_DIR"):
        build_reader("cl100k_base")
    plain = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "tiktoken":
            raise ImportError(name)
        return plain(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InvalidValue, match=r"pip install 'cloze\[tiktoken\]'"):
        build_reader("cl100k_base")
