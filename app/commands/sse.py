"""A parser of server-sent events, after the HTML standard (section 9.2.6)."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Message(NamedTuple):
    event: str
    data: str
    last_id: str | None  # the id of this message, or of the last one before it with an id


def read_messages(lines: Iterable[str]) -> Iterator[Message]:
    """Yields the messages of a stream. Drops an incomplete last message."""
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
