"""Reports as JSON that every parser reads."""

import json
import math
from typing import Any


def serialize(report: Any, *, indent: int | None = None) -> bytes:
    """Returns a value as JSON. Numbers that are not finite are null: JSON has none (RFC 8259, section 6)."""
    return json.dumps(_replace_non_finite(report), allow_nan=False, indent=indent).encode()


def _replace_non_finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _replace_non_finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_replace_non_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
