"""Encoders in child processes, because threads of one process would wait for the interpreter's lock.

A child imports no torch. It encodes one batch after another, and ends when its connection closes.
`EncodingProcesses` starts it as `python -m app.training.data.encoding_process FILE_DESCRIPTOR`.
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

_EXIT_SECONDS = 10.0  # for a process whose connection has closed


class EncodingProcesses:
    """A context with `count` processes that run the encoder of `make_encoder`. As many threads may call it at once.

    Raises RuntimeError if a process ends early, and Killed if it ends by SIGKILL.
    """

    def __init__(self, tokenizer: Tokenizer, dtype: np.dtype[Any], count: int) -> None:
        self._all = [_EncoderProcess() for _ in range(count)]  # all are started before the first is waited for
        self._idle: queue.SimpleQueue[_EncoderProcess] = queue.SimpleQueue()
        for process in self._all:
            process.configure(tokenizer.to_str(), dtype.str)
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
                env={**os.environ, "RAYON_NUM_THREADS": "1"},  # each process has one core
                process_group=0,  # only the trainer handles signals to its group
            )

    def configure(self, tokenizer: str, dtype: str) -> None:
        with suppress(OSError):  # the process has ended already; the first call raises the error
            self._asked.send((tokenizer, dtype))

    def __call__(self, documents: Sequence[str]) -> EncodedDocuments:
        try:
            self._asked.send(documents)
            encoded: EncodedDocuments = self._asked.recv()
            return encoded
        except (EOFError, OSError) as e:
            code = self._wait_for_exit()
            how = Killed if code == -signal.SIGKILL else RuntimeError
            raise how(f"a process that encodes text ended early, with exit code {code}") from e

    def _wait_for_exit(self) -> int | None:
        """Returns the exit code, or None if the process had not ended and was killed."""
        try:
            return self._process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return None

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._asked.close()


def _serve(asked: Connection) -> None:
    """Encodes batches until the connection closes."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)  # the parent decides when to stop
    with suppress(EOFError, ConnectionError):
        described, dtype = asked.recv()
        encode = make_encoder(Tokenizer.from_str(described), np.dtype(dtype))
        while True:
            asked.send(encode(asked.recv()))


if __name__ == "__main__":
    _serve(Connection(int(sys.argv[1])))
