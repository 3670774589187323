"""Starts child processes that end with this one, and says when to start a dead one again."""

import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import IO

from app.system.child import bound_command

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds before a restart; doubled by each quick death
_SETTLED = 60.0  # seconds after which a death is no longer a quick one


def start_child(
    command: Sequence[str],
    *,
    signum: int = signal.SIGTERM,
    environment: Mapping[str, str] | None = None,
    log: IO[bytes] | None = None,
) -> "subprocess.Popen[bytes]":
    """Starts a process that gets `signum` when the calling *thread* ends; call it from the main thread.

    The process has a session of its own: a Ctrl-C reaches it through its parent alone, once.
    log: receives its output; None: the parent's own.
    """
    return subprocess.Popen(
        bound_command(list(command), signum),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=None if log is None else subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )


class RestartPause:
    """The pause before a dead process is started again: it doubles with each quick death in a row."""

    def __init__(self) -> None:
        self.deaths = 0  # in a row

    def next(self, lifetime: float) -> float:
        """Returns the seconds to wait after a death. lifetime: seconds for which the process ran."""
        self.deaths = 1 if lifetime > _SETTLED else self.deaths + 1
        return min(_FIRST_PAUSE * 2.0 ** (self.deaths - 1), _LONGEST_PAUSE)
