"""The search of a sweep: which combinations of settings its jobs get."""

import itertools
import json
import math
import random
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from app.errors import InvalidValue

Search = Literal["grid", "random"]
Settings: TypeAlias = Mapping[str, Any]  # of one job, by name

_TRIES = 100  # draws for each job that is wanted, until all that are drawn count as known
_DIGITS = 4  # of drawn numbers


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`. On the scale `log`, their logarithms are uniform."""

    low: float
    high: float
    scale: Literal["linear", "log"] = "linear"


Parameter: TypeAlias = Sequence[Any] | Range


def draw(
    parameters: Mapping[str, Parameter],
    search: Search,
    count: int | None,
    seed: int,
    limit: int,
    integers: AbstractSet[str] = frozenset(),
) -> list[Settings]:
    """Returns the settings of each job of a sweep. No two are equal.

    Args:
        count: The number of jobs of a random search.
        seed: Of a random search. The same one gives the same settings.
        limit: The largest number of jobs.
        integers: The parameters that are whole numbers.

    Raises:
        InvalidValue: A list has a value twice, or the search does not suit the parameters, or has too many jobs.
    """
    for name, parameter in parameters.items():
        _refuse_equal_values(name, parameter)
    if search == "grid":
        return _list_grid(parameters, count, limit)
    if count is None:
        raise InvalidValue("a random search needs `count`, the number of jobs", param="count")
    _check_count(count, limit, "count")
    for name, parameter in parameters.items():
        if isinstance(parameter, Range) and name in integers and math.ceil(parameter.low) > math.floor(parameter.high):
            raise InvalidValue(f"there is no whole number in the range of `{name}`", param=f"parameters.{name}")
    rng, found = random.Random(seed), {}  # noqa: S311 - no secret
    for _ in range(_TRIES * count):
        settings = {name: _draw_value(rng, parameters[name], name in integers) for name in sorted(parameters)}
        found[repr(settings)] = {name: settings[name] for name in parameters}
        if len(found) == count:
            return list(found.values())
    message = f"the number of different combinations that were found is {len(found)}; use a grid, or fewer jobs"
    raise InvalidValue(message, param="count")


def _refuse_equal_values(name: str, parameter: Parameter) -> None:
    """Raises InvalidValue for a list with a value twice: 1 and 1.0 are equal, but 1 and true are not."""
    if isinstance(parameter, Range):
        return
    found: set[tuple[bool, Any]] = set()
    for value in parameter:
        key = (isinstance(value, bool), value)
        if key in found:
            message = f"`{name}` has the value {json.dumps(value, ensure_ascii=False)} twice"
            raise InvalidValue(message, param=f"parameters.{name}")
        found.add(key)


def _list_grid(parameters: Mapping[str, Parameter], count: int | None, limit: int) -> list[Settings]:
    if count is not None:
        raise InvalidValue("`count` is for a random search; a grid has every combination", param="count")
    values: dict[str, Sequence[Any]] = {}
    for name, parameter in parameters.items():
        if isinstance(parameter, Range):
            message = f"a grid needs the values of `{name}`; a range is for a random search"
            raise InvalidValue(message, param=f"parameters.{name}")
        values[name] = parameter
    _check_count(math.prod(map(len, values.values())), limit, "parameters")
    return [dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())]


def _check_count(count: int, limit: int, param: str) -> None:
    if count > limit:
        raise InvalidValue(f"the sweep has {count:,} jobs; CLOZE_MAX_SWEEP_JOBS allows {limit:,}", param=param)


def _draw_value(rng: random.Random, parameter: Parameter, is_integer: bool) -> Any:
    if not isinstance(parameter, Range):
        return rng.choice(parameter)
    low, high = parameter.low, parameter.high
    if is_integer and parameter.scale == "linear":
        return rng.randint(math.ceil(low), math.floor(high))
    is_log = parameter.scale == "log"
    value = math.exp(rng.uniform(math.log(low), math.log(high))) if is_log else rng.uniform(low, high)
    if is_integer:
        return min(max(round(value), math.ceil(low)), math.floor(high))
    return min(max(float(f"{value:.{_DIGITS}g}"), low), high)
