"""The variants of `cloze score`: a wild type of the arguments, and substitutions of a file."""

import csv
from pathlib import Path

from app.commands.texts import read_texts
from app.errors import InvalidValue

_COLUMNS = ("mutant", "variant")  # the first is ProteinGym's


def read_wild_type(lines: list[str]) -> str:
    """Joins the lines of a sequence, without the header of a FASTA file. Raises InvalidValue for several records."""
    if sum(line.startswith(">") for line in lines) > 1:
        raise InvalidValue("variants are of one sequence; the FASTA file has several")
    return "".join(line.strip() for line in lines if not line.startswith(">"))


def read_variants(argument: str) -> list[str] | str:
    """Returns `all`, the column `mutant` or `variant` of a CSV file, or the lines of another file.

    Raises InvalidValue for a CSV file without such a column, and what `read_texts` raises.
    """
    if argument == "all":
        return argument
    path = Path(argument)
    if path.suffix.lower() != ".csv" or not path.is_file():
        return read_texts([argument])
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        column = next((name for name in _COLUMNS if name in (rows.fieldnames or ())), None)
        if column is None:
            raise InvalidValue(f"{argument} has no column `mutant` or `variant`")
        return [row[column] for row in rows if row[column]]
