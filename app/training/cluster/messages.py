"""Messages between the processes of a run on several machines and the process of its attempt.

Each process has one connection on which it says every second that it is alive, and at its end what became of it. The
process of rank 0 has another one, on which it calls the hooks of the run.
"""

import hmac
import pickle
import secrets
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

BEAT_SECONDS = 1.0
SILENT_SECONDS = 15.0  # without a beat, after which the other side is taken for dead
SIGN_IN_SECONDS = 10.0


@dataclass(frozen=True)
class SignIn:
    """The first message of a connection."""

    rank: int
    calls_hooks: bool


@dataclass(frozen=True)
class Ended:
    """The end of a process: its result, or the error that ended it."""

    result: Any = None
    error: BaseException | None = None


class Refused(OSError):
    """The other side of a connection does not know the key of the run."""


def prove_key(connection: Connection, key: bytes) -> None:
    """Proves to the other side that this one knows the key, without sending it, and has it prove the same.

    Nothing is unpickled before. Raises Refused, and EOFError or OSError if the connection ends.
    """
    own = secrets.token_bytes(32)
    connection.send_bytes(own)
    theirs = _receive(connection)
    # A key of its own for each direction: a proof cannot be sent back to its sender.
    connection.send_bytes(_sign(key, theirs + own))
    if theirs == own or not hmac.compare_digest(_receive(connection), _sign(key, own + theirs)):
        raise Refused("the other side of the connection does not know the key of the run")


def _sign(key: bytes, content: bytes) -> bytes:
    return hmac.digest(key, content, "sha256")


def _receive(connection: Connection) -> bytes:
    if not connection.poll(SIGN_IN_SECONDS):
        raise Refused("the other side of the connection did not sign in")
    return connection.recv_bytes(32)


def portable(error: BaseException) -> BaseException:
    """Returns the error in a form that can be sent to another process."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - written by the line itself
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
