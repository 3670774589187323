"""What is learnt of parts is learnt once, and stays as it was for who holds it."""

from collections.abc import Sequence

import numpy as np
import pytest

from app.training.data import token_cache as module
from app.training.data.token_cache import CachedParts, EncodedParts, TokenCache


class Teacher:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, parts: Sequence[str]) -> EncodedParts:
        self.asked += parts
        return EncodedParts(
            [p.encode() * 2 for p in parts], [p.upper().encode() for p in parts], ["!" in p for p in parts]
        )


def told(found: CachedParts) -> list[tuple[bytes, bytes, bool]]:
    ids, normals = found.ids.to_pylist(), found.normals.to_pylist()
    return [(ids[n], normals[n], bool(found.alone[n])) for n in found.numbers]


def test_a_part_is_learnt_once() -> None:
    parts, teacher = TokenCache(), Teacher()
    expected = {p: (p.encode() * 2, p.upper().encode(), "!" in p) for p in ("lion", "", "a!", "zebra")}
    for asked in (["lion", ""], ["", "a!", "lion"], ["zebra", "a!"], ["lion", "", "a!", "zebra"], []):
        assert told(parts.look_up(asked, teacher)) == [expected[p] for p in asked]
    assert teacher.asked == ["lion", "", "a!", "zebra"]


def test_what_was_found_stays_though_more_is_learnt() -> None:
    parts, teacher = TokenCache(), Teacher()
    first = parts.look_up(["lion", "a!"], teacher)
    before = told(first)
    for start in range(0, 3000, 100):
        parts.look_up([f"word{n}" for n in range(start, start + 100)], teacher)
    assert told(first) == before
    assert len(first.ids) == 2


@pytest.mark.parametrize(("limit", "value"), [("MAX_PARTS", 2), ("MAX_BYTES", 9)])
def test_it_says_when_it_is_full(limit: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, limit, value)
    parts = TokenCache()
    assert not parts.full
    parts.look_up(["a", "bcd"], Teacher())  # 8 bytes of tokens and 4 of normal forms
    assert parts.full
    assert np.array_equal(parts.look_up(["bcd"], Teacher()).numbers, [1])
