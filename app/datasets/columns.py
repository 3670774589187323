"""The errors for tables without a wanted column, or with several of its name.

The former list the columns that there are, so that the user can choose one.
"""

from collections.abc import Mapping, Sequence

from app.datasets.reports import Reason
from app.datasets.sources import UnreadableFile, replace_surrogates, shorten
from app.errors import InvalidData

VALUES = 3  # shown of each column
MAX_COLUMNS = 30  # shown of a table
_NAME, _VALUE = 50, 40  # characters shown


Values = Sequence[object] | str  # the first values of a column, or its type


def refuse_columns(expected: str, columns: Mapping[str, Values], option: str = "text_column") -> UnreadableFile:
    """Returns the error for a table.

    expected: names the place and the missing column. option: the field of the request that names a column.
    """
    if not columns:
        return UnreadableFile(f"{expected}; found none", Reason.NO_COLUMN)
    found = ", ".join(repr(shorten(name, _NAME)) for name in list(columns)[:MAX_COLUMNS])
    if len(columns) > MAX_COLUMNS:
        found += f" and {len(columns) - MAX_COLUMNS} more"
    shown = "; ".join(f"{shorten(name, _NAME)}: {_list(values)}" for name, values in _longest(columns))
    message = f"{expected}; found {found}. Set {option} to one of them. {shown}"
    return UnreadableFile(replace_surrogates(message), Reason.NO_COLUMN)


def _longest(columns: Mapping[str, Values]) -> list[tuple[str, Values]]:
    """Returns the columns to show: all in their order, or those with the longest values."""
    named = list(columns.items())
    if len(named) <= MAX_COLUMNS:
        return named
    return sorted(named, key=lambda column: -_longest_value(column[1]))[:MAX_COLUMNS]


def _longest_value(values: Values) -> int:
    return 0 if isinstance(values, str) else max((len(str(value)) for value in values), default=0)


def _list(values: Values) -> str:
    if isinstance(values, str):
        return values
    return ", ".join(repr(shorten(str(value), _VALUE)) for value in values[:VALUES]) or "no values"


def refuse_repeated(place: str, name: str, count: int) -> InvalidData:
    """Returns the error for a table with several columns of a wanted name."""
    return InvalidData(f"{place}: {count} columns are named {name!r}; rename all but one")
