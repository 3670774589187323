"""Encoders in processes of their own: threads of one process would wait for the interpreter's lock.

A process imports no torch, is asked for one batch after another, and ends when nobody is left to ask.
Run as `python -m app.training.data.encoding_process FILE_DESCRIPTOR` by `EncodingProcesses`.
"""

import os
import queue
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from app.training.data.encoding import EncodedDocuments, make_encoder
from app.training.hooks import Killed

_PATIENCE = 10.0  # seconds


class EncodingProcesses:
    """The encoder of `make_encoder` in `count` processes, as a context; as many threads may call it at once.

    Raises RuntimeError if a process ends before its time, Killed if by SIGKILL.
    """

    def __init__(self, tokenizer: Tokenizer, dtype: np.dtype[Any], count: int) -> None:
        self._all = [_EncoderProcess() for _ in range(count)]  # they start beside each other
        self._idle: queue.SimpleQueue[_EncoderProcess] = queue.SimpleQueue()
        told = (tokenizer.to_str(), dtype.str)
        for process in self._all:
            process.tell(told)
            self._idle.put(process)

    def __call__(self, documents: Sequence[str]) -> EncodedDocuments:
        process = self._idle.get()
        try:
            return process(documents)
        finally:
            self._idle.put(process)

    def __enter__(self) -> "EncodingProcesses":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._all:
            process.close()


class _EncoderProcess:
    def __init__(self) -> None:
        self._asked, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, "RAYON_NUM_THREADS": "1"},  # each has a processor to itself
                process_group=0,  # a signal to the trainer's group is the trainer's to answer
            )

    def tell(self, told: tuple[str, str]) -> None:
        with suppress(OSError):  # it has ended already, as the first call will tell
            self._asked.send(told)

    def __call__(self, documents: Sequence[str]) -> EncodedDocuments:
        try:
            self._asked.send(documents)
            encoded: EncodedDocuments = self._asked.recv()
            return encoded
        except (EOFError, OSError) as e:
            code = self._ended()
            how = Killed if code == -signal.SIGKILL else RuntimeError
            raise how(f"a process that encodes text ended before its time, with exit code {code}") from e

    def _ended(self) -> int | None:
        """Its exit code; None if it was not the process that failed."""
        try:
            return self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return None

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._asked.close()


def _serve(asked: Connection) -> None:
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)  # who asks says when to stop
    with suppress(EOFError, ConnectionError):
        described, dtype = asked.recv()
        encode = make_encoder(Tokenizer.from_str(described), np.dtype(dtype))
        while True:
            asked.send(encode(asked.recv()))


if __name__ == "__main__":
    _serve(Connection(int(sys.argv[1])))
