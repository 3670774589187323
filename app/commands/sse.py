"""Server-sent events, read as the HTML standard says (section 9.2.6)."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Message(NamedTuple):
    event: str
    data: str
    last_id: str | None  # of this message or the latest before it that had one


def read_messages(lines: Iterable[str]) -> Iterator[Message]:
    """The messages of a stream; one that was cut off within is none."""
    event, data, last_id = "message", list[str](), None
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield Message(event, "\n".join(data), last_id)
            event, data = "message", []
        elif name == "event":
            event = value
        elif name == "data":
            data.append(value)
        elif name == "id":
            last_id = value
