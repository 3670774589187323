"""Checks of the types of Parquet columns before they are read."""

from collections.abc import Mapping

import pyarrow as pa

from app.datasets.columns import refuse_columns, refuse_repeated
from app.datasets.parquet import holds_strings
from app.datasets.sources import shorten
from app.errors import InvalidData


def check_schema(schema: pa.Schema, filename: str, columns: Mapping[str, str]) -> None:
    """Checks that columns exist once and hold strings or numbers. The column of labels may hold lists of them.

    columns: the field of the request that names a column → the column. Raises InvalidData.
    """
    for option, name in columns.items():
        if (count := schema.names.count(name)) > 1:
            raise refuse_repeated(filename, name, count)
        if not count:
            types: dict[str, str] = {each.name: shorten(str(each.type), 50) for each in schema}
            raise refuse_columns(f"{filename}: no column {name!r}", types, option)
        kind = schema.field(name).type
        each = kind.value_type if option == "label_column" and is_list(kind) else kind
        if not _is_plain(each):
            raise InvalidData(f"{filename}: expected strings or numbers in {name!r}, found {shorten(str(kind), 100)}")


def plain_columns(schema: pa.Schema) -> list[str]:
    """Returns the names of the columns that hold strings or numbers, without names that several columns have."""
    return [each.name for each in schema if _is_plain(each.type) and schema.names.count(each.name) == 1]


def is_list(kind: pa.DataType) -> bool:
    return any(check(kind) for check in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list))


def _is_plain(kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
    return holds_strings(kind) or any(check(inner) for check in numbers)
