"""Reports are JSON that every parser reads."""

import json
import math

from app.evaluation.serialization import serialize


def test_numbers_that_are_not_finite_are_null() -> None:
    report = {"metrics": {"rmse": math.nan}, "points": [(1.5, -math.inf), [2, True, "NaN"]], "baseline": None}
    expected = {"metrics": {"rmse": None}, "points": [[1.5, None], [2, True, "NaN"]], "baseline": None}
    assert json.loads(serialize(report)) == expected
    assert json.loads(serialize(report, indent=2)) == expected
