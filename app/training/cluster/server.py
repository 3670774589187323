"""The process of an attempt as the owner of a run on several machines: it serves the run's hooks."""

import logging
import os
import queue
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from app.errors import AppError
from app.training.cluster.messages import BEAT_SECONDS, SILENT_SECONDS, Ended, SignIn, prove_key
from app.training.hooks import Hooks, Killed, Stopped

_SLOW_START = 30.0  # seconds after which the user is told that the processes have not started
_SETTLE = 5.0  # seconds in which the cause of a lost connection between processes may show
_FOREIGN = (AppError, Stopped)  # errors with a meaning of their own; all others may be effects of another process

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Call:
    """A call of a hook, with the connection that waits for its result."""

    connection: Connection
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class RunServer:
    """Serves the hooks of a run to its processes, and notices when one of them ends or is silent.

    A context; its connections close with it, which ends the processes. Hooks are called in the thread of `wait`.
    """

    def __init__(
        self,
        hooks: Hooks,
        size: int,
        host: str,
        key: bytes,
        *,
        silent_seconds: float = SILENT_SECONDS,
        poll_seconds: float = BEAT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """size: The number of processes. host: The address of this machine that the others reach."""
        self._hooks, self._size, self._key = hooks, size, key
        self._silent_seconds, self._poll_seconds, self._clock = silent_seconds, poll_seconds, clock
        self._listener = socket.create_server((host, 0), backlog=size + 8)
        self._inbox: queue.Queue[_Call | tuple[int, Ended] | BaseException] = queue.Queue()
        self._seen: dict[int, float] = {}  # by rank, when the process last said something
        self._ended: dict[int, Ended] = {}
        self._open: set[socket.socket] = set()

    @property
    def address(self) -> tuple[str, int]:
        host, port = self._listener.getsockname()[:2]
        return host, port

    def __enter__(self) -> "RunServer":
        threading.Thread(target=self._accept, name="accept", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # To close what another thread waits for would not wake it.
        for waited in (self._listener, *self._open.copy()):
            with suppress(OSError):
                waited.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def fail(self, error: BaseException) -> None:
        """Ends `wait` with an error of the engine that runs the processes. Any thread may call it."""
        self._inbox.put(error)

    def wait(self) -> Any:
        """Serves the hooks until all processes have ended. Returns the result of rank 0.

        Raises:
            AppError: As a process of the run raised it.
            Stopped: The run was told to stop before its first step.
            Killed: A process ended without a word, or was silent for too long.
        """
        began, told = self._clock(), False
        while len(self._ended) < self._size:
            with suppress(queue.Empty):
                self._handle(self._inbox.get(timeout=self._poll_seconds))
            self._check_silence()
            if len(self._seen) < self._size:
                if reason := self._hooks.should_stop():
                    raise Stopped(reason)
                if not told and self._clock() - began > _SLOW_START:
                    told = True
                    started = f"{len(self._seen)} of {self._size} processes have started"
                    self._hooks.on_event(f"{started}; the cluster has not placed the others yet", level="warn")
        return self._ended[0].result

    def _handle(self, message: "_Call | tuple[int, Ended] | BaseException") -> None:
        if isinstance(message, _Call):
            answer = getattr(self._hooks, message.name)(*message.args, **message.kwargs)
            with suppress(OSError):  # the process has ended, which its other connection tells
                message.connection.send(answer)
        elif isinstance(message, BaseException):
            raise message
        else:
            rank, ended = message
            self._ended[rank] = ended
            if ended.error is not None:
                self._raise(rank, ended.error)

    def _raise(self, rank: int, error: BaseException) -> None:
        """Raises the error of a process, or the one that caused it: when one is killed, the others lose connections."""
        deadline = self._clock() + _SETTLE
        while not isinstance(error, (*_FOREIGN, Killed)) and (left := deadline - self._clock()) > 0:
            with suppress(queue.Empty):
                other = self._inbox.get(timeout=left)
                if isinstance(other, tuple) and isinstance(other[1].error, (*_FOREIGN, Killed)):
                    rank, error = other[0], other[1].error
        if isinstance(error, _FOREIGN):
            raise error
        kind = Killed if isinstance(error, Killed) else RuntimeError
        raise kind(f"the training process of rank {rank} ended early: {error}") from error

    def _check_silence(self) -> None:
        now = self._clock()
        for rank, seen in list(self._seen.items()):
            if rank not in self._ended and now - seen > self._silent_seconds:
                raise Killed(f"the training process of rank {rank} was silent for {now - seen:.0f} s")

    def _accept(self) -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                opened, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(opened,), name="run", daemon=True).start()

    def _serve(self, opened: socket.socket) -> None:
        self._open.add(opened)
        connection = Connection(os.dup(opened.fileno()))
        try:
            prove_key(connection, self._key)
            who: SignIn = connection.recv()
        except (OSError, EOFError) as e:
            _log.warning("a connection was refused: %s", e)
        else:
            (self._receive_calls if who.calls_hooks else self._receive_beats)(connection, who.rank)
        finally:
            self._open.discard(opened)
            connection.close()
            opened.close()

    def _receive_calls(self, connection: Connection, rank: int) -> None:
        with suppress(OSError, EOFError):
            while True:
                self._inbox.put(_Call(connection, *connection.recv()))

    def _receive_beats(self, connection: Connection, rank: int) -> None:
        ended = Ended(error=Killed("its connection closed"))
        with suppress(OSError, EOFError):
            while True:
                self._seen[rank] = self._clock()
                message = connection.recv()
                if isinstance(message, Ended):
                    ended = message
                    break
                connection.send(None)
        self._inbox.put((rank, ended))
