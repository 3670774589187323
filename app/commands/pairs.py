"""The pairs of `cloze score`: two texts a line of a file."""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from app.commands.texts import read_texts
from app.errors import EmptyInput, InvalidValue

_NAMES = (("good", "bad"), ("sentence_good", "sentence_bad"))  # the second ones are BLiMP's
_TABLES = {".csv": ",", ".tsv": "\t"}


def read_pairs(argument: str) -> list[dict[str, str]]:
    """Returns the pairs of a file: the columns of a CSV or TSV file, else lines of JSON; - reads standard input.

    Raises InvalidValue for a pair without two texts, EmptyInput for a file without a pair, and what `read_texts`
    raises.
    """
    path = Path(argument)
    separator = _TABLES.get(path.suffix.lower())
    if separator is not None and path.is_file():
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _name_all(csv.DictReader(file, delimiter=separator), argument, first=2)
    if argument != "-" and not path.is_file():
        raise InvalidValue(f"{argument[:100]} is not a file of pairs")
    return _name_all(map(_parse, read_texts([argument])), argument, first=1)


def _parse(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _name_all(rows: Iterable[Any], argument: str, *, first: int) -> list[dict[str, str]]:
    """first: number of the first row in the file, for errors."""
    pairs = [_name(row, f"{argument}, row {number}") for number, row in enumerate(rows, first)]
    if not pairs:
        raise EmptyInput(f"{argument} has no pairs")
    return pairs


def _name(row: Any, place: str) -> dict[str, str]:
    texts: Sequence[Any] = ()
    if isinstance(row, dict):
        texts = next(([row[good], row[bad]] for good, bad in _NAMES if good in row and bad in row), ())
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise InvalidValue(f"{place}: expected two texts, `good` and `bad`")
    return {"good": texts[0], "bad": texts[1]}
