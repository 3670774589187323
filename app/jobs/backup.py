"""Copies of all records in Redis, independent of how Redis stores them."""

import base64
import itertools
import json
from collections.abc import Iterable, Iterator

from app.errors import Conflict, InvalidData
from app.jobs.connection import Client

_KEYS = "cloze:*"  # RQ's keys are wake-ups, which the reconciler sends again
_BATCH = 200  # keys that are read or written together


def dump_records(redis: Client) -> Iterator[bytes]:
    """Yields a line of JSON for each key: its name, its time to live in ms (0: none) and its value, as DUMP gives it.

    Each value is consistent. Those that change meanwhile may be of different moments, as after a crash of Redis, and
    the indexes are repaired from the records at the next start.
    """
    keys = redis.scan_iter(match=_KEYS, count=1000)
    while batch := list(itertools.islice(keys, _BATCH)):
        with redis.pipeline(transaction=True) as pipe:
            for key in batch:
                pipe.dump(key).pttl(key)
            found = iter(pipe.execute())
        for key, value, milliseconds in zip(batch, found, found, strict=True):
            if value is not None:  # deleted since the scan
                line = {"key": key.decode(), "ttl": max(0, milliseconds), "value": base64.b64encode(value).decode()}
                yield json.dumps(line).encode() + b"\n"


def load_records(redis: Client, lines: Iterable[bytes]) -> int:
    """Writes the records of a dump to a Redis that has none. Returns their number.

    Raises Conflict for a Redis that has records, InvalidData for lines that are no dump, and StorageError.
    """
    check_empty(redis)
    count = 0
    iterator = iter(lines)
    while batch := list(itertools.islice(iterator, _BATCH)):
        with redis.pipeline(transaction=True) as pipe:
            for line in batch:
                key, ttl, value = _parse(line)
                pipe.restore(key, ttl, value, replace=True)  # a key may come twice: a scan can repeat it
            count += len(pipe.execute())
    return count


def check_empty(redis: Client) -> None:
    """Raises Conflict for a Redis that has records of Cloze."""
    if next(redis.scan_iter(match=_KEYS, count=1000), None) is not None:
        raise Conflict("this Redis has records of Cloze; a backup is restored to an empty one")


def _parse(line: bytes) -> tuple[str, int, bytes]:
    try:
        record = json.loads(line)
        key, ttl, value = record["key"], int(record["ttl"]), base64.b64decode(record["value"], validate=True)
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidData("the records of the backup are damaged") from error
    if not isinstance(key, str) or not key.startswith(_KEYS[:-1]):
        raise InvalidData("the records of the backup have a key that is not one of Cloze")
    return key, ttl, value
