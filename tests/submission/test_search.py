"""The combinations of settings that a sweep tries."""

import pytest

from app.errors import InvalidValue
from app.submission.search import Parameter, Range, draw

MIXED: dict[str, Parameter] = {
    "learning_rate": Range(1e-5, 1e-2, "log"),
    "batch_tokens": Range(100, 200),
    "schedule": ["linear", "cosine"],
}


def test_a_grid_has_every_combination_once() -> None:
    found = draw({"a": [1, 2], "b": ["x", "y"]}, "grid", None, 0, 10)
    assert found == [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"}, {"a": 2, "b": "y"}]


def test_true_and_1_are_two_values() -> None:
    assert draw({"a": [True, 1]}, "grid", None, 0, 10) == [{"a": True}, {"a": 1}]


def test_a_random_search_is_reproducible_and_stays_in_its_ranges() -> None:
    found = draw(MIXED, "random", 50, 7, 50, frozenset({"batch_tokens"}))
    assert found == draw(dict(reversed(MIXED.items())), "random", 50, 7, 50, frozenset({"batch_tokens"}))
    assert found != draw(MIXED, "random", 50, 8, 50, frozenset({"batch_tokens"}))
    assert all(1e-5 <= each["learning_rate"] <= 1e-2 for each in found)
    assert sum(each["learning_rate"] < 10**-3.5 for each in found) in range(15, 36)  # uniform in the logarithm
    assert all(isinstance(each["batch_tokens"], int) and 100 <= each["batch_tokens"] <= 200 for each in found)
    assert list(found[0]) == list(MIXED)


@pytest.mark.parametrize(
    ("parameters", "search", "count", "param", "message"),
    [
        ({"a": [1], "b": [2, 0.5, 2.0]}, "grid", None, "parameters.b", "`b` has the value 2.0 twice"),
        ({"a": ["x", "x"]}, "random", 1, "parameters.a", '`a` has the value "x" twice'),
        ({"a": Range(0, 1)}, "grid", None, "parameters.a", "a range is for a random search"),
        ({"a": [1, 2]}, "grid", 2, "count", "a grid has every combination"),
        ({"a": list(range(5)), "b": list(range(3))}, "grid", None, "parameters", "15 jobs.*allows 10"),
        ({"a": [1]}, "random", None, "count", "needs `count`"),
        ({"a": Range(0, 1)}, "random", 11, "count", "11 jobs.*allows 10"),
        ({"a": [1, 2]}, "random", 3, "count", "combinations that were found is 2"),
        ({"n": Range(1.2, 1.8)}, "random", 2, "parameters.n", "no whole number"),
    ],
)
def test_what_does_not_fit_is_refused(
    parameters: dict[str, Parameter], search: str, count: int | None, param: str, message: str
) -> None:
    with pytest.raises(InvalidValue, match=message) as error:
        draw(parameters, search, count, 0, 10, frozenset({"n"}))  # type: ignore[arg-type]
    assert error.value.param == param
