"""A process of a run on several machines, as it speaks to the process of the attempt."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Client, Connection
from typing import Any, cast

from app.training.cluster.messages import BEAT_SECONDS, SILENT_SECONDS, Ended, SignIn, portable, prove_key
from app.training.hooks import Hooks

Address = tuple[str, int]


class RemoteHooks:
    """`Hooks` that the process of the attempt runs. Each method raises EOFError or OSError when it has ended."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if not hasattr(Hooks, name):
            raise AttributeError(name)
        return partial(self._call, name)

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        self._connection.send((name, args, kwargs))
        return self._connection.recv()


@contextmanager
def connect_hooks(address: Address, key: bytes) -> Iterator[Hooks]:
    """Yields the hooks of the run, for the process of rank 0."""
    with _connect(address, key, SignIn(rank=0, calls_hooks=True)) as connection:
        yield cast(Hooks, RemoteHooks(connection))


def report_life(
    address: Address,
    key: bytes,
    rank: int,
    work: Callable[[], Any],
    *,
    exit_process: Callable[[int], object] = os._exit,
    silent_seconds: float = SILENT_SECONDS,
) -> None:
    """Runs `work`, tells the process of the attempt that this one is alive, and then the result or error of `work`.

    Args:
        exit_process: Ends this process at once. Called when the process of the attempt has ended or is silent: a
            later attempt may have begun.
    """
    with _connect(address, key, SignIn(rank, calls_hooks=False)) as connection:
        done = threading.Event()
        beats = threading.Thread(
            target=_beat, args=(connection, done, silent_seconds, exit_process), name="beat", daemon=True
        )
        beats.start()
        try:
            ended = Ended(result=work())
        except BaseException as e:
            ended = Ended(error=portable(e))
        done.set()
        beats.join()
        connection.send(ended)
    if ended.error is not None:
        raise ended.error


def _beat(
    connection: Connection, done: threading.Event, silent_seconds: float, exit_process: Callable[[int], object]
) -> None:
    while not done.wait(BEAT_SECONDS):
        try:
            connection.send(None)
            alive = connection.poll(silent_seconds)
            if alive:
                connection.recv()
        except (OSError, EOFError):
            alive = False
        if not alive:
            exit_process(1)
            return


@contextmanager
def _connect(address: Address, key: bytes, who: SignIn) -> Iterator[Connection]:
    connection = Client(address)
    with connection:
        prove_key(connection, key)
        connection.send(who)
        yield connection
