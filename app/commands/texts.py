"""The input texts of a command: arguments, lines of files, or lines of standard input."""

import sys
from pathlib import Path

from app.commands.output import note
from app.errors import EmptyInput, InvalidValue

STDIN = "-"


def read_texts(arguments: list[str]) -> list[str]:
    """Replaces `-` by the lines of standard input, and the name of an existing file by the file's lines.

    Skips empty lines. Raises EmptyInput if no text remains, and InvalidValue for a file that is not UTF-8.
    """
    texts = [text for argument in arguments for text in _read_argument(argument)]
    if not texts:
        raise EmptyInput("there is no text: all lines are empty")
    return texts


def _read_argument(argument: str) -> list[str]:
    if argument == STDIN:
        return _split_lines(sys.stdin.buffer.read(), "standard input")
    path = Path(argument)
    if not _is_file(path):
        return [argument]
    note(f"Reading {argument}, one input per line.")
    return _split_lines(path.read_bytes(), argument)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a text that is too long for a name, or contains a null character
        return False


def _split_lines(content: bytes, place: str) -> list[str]:
    try:
        return [line for line in content.decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise InvalidValue(f"{place} is not UTF-8 text: {error.reason} at byte {error.start}") from error
