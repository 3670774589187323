"""The inputs of a command: arguments, media files, lines of text files, or lines of standard input."""

import base64
import mimetypes
import sys
from dataclasses import dataclass
from pathlib import Path

from app.commands.output import note
from app.errors import EmptyInput, InvalidValue

STDIN = "-"
_MEDIA = ("image", "audio", "video")
# Beside those of the system, which may know few: Python itself knows none of these.
_TYPES = {
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".m4a": "audio/mp4",
    ".mp3": "audio/mpeg",
    ".webp": "image/webp",
    ".apng": "image/apng",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
}


def read_texts(arguments: list[str]) -> list[str]:
    """Replaces `-` by the lines of standard input, and the name of an existing file by the file's lines.

    Skips empty lines. Raises EmptyInput if no text remains, and InvalidValue for a file that is not UTF-8.
    """
    texts = [text for argument in arguments for text in _read_argument(argument)]
    if not texts:
        raise EmptyInput("there is no text: all lines are empty")
    return texts


@dataclass(frozen=True)
class CommandInput:
    """One input of a command. shown: how the output names it. content: a text, or a media file as a data URI."""

    shown: str
    content: str


def read_inputs(arguments: list[str]) -> list[CommandInput]:
    """Reads arguments as `read_texts` does, but for names of existing images, sounds and videos: they are inputs."""
    found: list[CommandInput] = []
    for argument in arguments:
        media_type = _TYPES.get(Path(argument).suffix.lower()) or mimetypes.guess_type(argument)[0] or ""
        if media_type.partition("/")[0] in _MEDIA and _is_file(Path(argument)):
            encoded = base64.b64encode(Path(argument).read_bytes()).decode()
            found.append(CommandInput(argument, f"data:{media_type};base64,{encoded}"))
        else:
            found += [CommandInput(text, text) for text in _read_argument(argument)]
    if not found:
        raise EmptyInput("there is no text: all lines are empty")
    return found


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
