"""Waits until the head of a cluster answers: a restart of the cluster must not fail the jobs that are queued."""

import socket
import time
from collections.abc import Callable

from app.errors import InvalidValue
from app.training.hooks import Hooks, Stopped

_CONNECT_SECONDS = 3.0
_PAUSE_SECONDS = 1.0


def wait_for_cluster(address: str, hooks: Hooks, pause: Callable[[float], None] = time.sleep) -> None:
    """Returns when something listens at an address, given as HOST:PORT.

    Raises:
        InvalidValue: The address has another form.
        Stopped: The run was told to stop meanwhile.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise InvalidValue(f"CLOZE_RAY_ADDRESS is HOST:PORT, not {address!r}")
    told = False
    while not _answers(host.strip("[]"), int(port)):
        if reason := hooks.should_stop():
            raise Stopped(reason)
        if not told:
            hooks.on_event(f"No Ray cluster answers at {address}. The job waits for it", level="warn")
            told = True
        pause(_PAUSE_SECONDS)


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), _CONNECT_SECONDS).close()
    except (OSError, OverflowError):
        return False
    return True
