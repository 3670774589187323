import re
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from app.media.limits import Limits

DOCS = Path(__file__).parents[2] / "docs" / "media.md"


def test_limits_are_frozen_and_each_is_documented() -> None:
    with pytest.raises(FrozenInstanceError):
        Limits().max_bytes = 1  # type: ignore[misc]
    rows = re.findall(r"^\| (`max_.*)\|.*\|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(re.findall(r"`(max_\w+)`", " ".join(rows))) == sorted(field.name for field in fields(Limits))
