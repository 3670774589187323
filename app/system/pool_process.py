"""The main loop of a child process of a `ProcessPool`. It runs one call after another, within limits."""

import contextlib
import ctypes
import math
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from app.errors import AppError, InvalidData, TooLarge
from app.system import messages
from app.system.child import die_with_parent
from app.system.priority import offer_to_oom_killer
from app.system.proc import read_private_bytes

MIB = 1024 * 1024
_KEPT = 128 * MIB  # private memory kept between calls; beyond it, free memory is returned to the kernel
_OOM_SCORE = 500  # of 1000: when the machine runs out of memory, the kernel kills this process before its parent


@dataclass(frozen=True)
class ProcessLimits:
    """The limits of one process of a pool.

    memory_bytes: private memory (RLIMIT_DATA).
    seconds: processor time of one call. Unlike wall-clock time it does not depend on the load of the machine.
    niceness: added to the parent's.
    """

    memory_bytes: int = 2048 * MIB
    seconds: float = 120.0
    niceness: int = 0


class CallResult(NamedTuple):
    """The outcome of a call.

    value: the result, or an AppError if `failed`. last: True if the process ends after this call.
    """

    value: Any
    failed: bool = False
    last: bool = False


def serve(descriptor: int, parent_pid: int, limits: ProcessLimits) -> None:
    """Runs calls until the parent closes the connection. `descriptor` is a connected socket."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)  # the parent decides when to stop
    die_with_parent(parent_pid)
    _apply_limits(limits)
    with socket.socket(fileno=descriptor) as connection, contextlib.suppress(EOFError, ConnectionError):
        messages.send(connection, CallResult(None))  # ready
        while not _answer_one(connection, limits):
            pass


def _apply_limits(limits: ProcessLimits) -> None:
    os.nice(limits.niceness)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (limits.memory_bytes, limits.memory_bytes))
        offer_to_oom_killer(_OOM_SCORE)


def _answer_one(connection: socket.socket, limits: ProcessLimits) -> bool:
    """Receives, runs and answers one call. Returns True if the process should end."""
    try:
        function = messages.receive(connection)
        answer = _call(function, limits)
        del function
        parts = messages.pack(answer)
    except MemoryError:
        answer = CallResult(_out_of_memory(limits), failed=True, last=True)
        parts = messages.pack(answer)
    messages.send_packed(connection, parts)
    return answer.last


def _call(function: Callable[[], Any], limits: ProcessLimits) -> CallResult:
    _allow_seconds(limits.seconds)
    try:
        value, failed = function(), False
    except AppError as error:
        value, failed = error.with_traceback(None), True
        value.__cause__ = value.__context__ = None
    except MemoryError:
        raise
    except Exception:
        # A file made a reader fail in an unexpected way. The traceback goes to the log.
        traceback.print_exc()
        value, failed = InvalidData("the file cannot be read: it is damaged or its format is not supported"), True
    if read_private_bytes() > _KEPT:
        _trim_memory()
    return CallResult(value, failed, last=read_private_bytes() > limits.memory_bytes // 2)


def _out_of_memory(limits: ProcessLimits) -> TooLarge:
    return TooLarge(f"reading the file takes more than the allowed {limits.memory_bytes // MIB} MiB of memory")


def _allow_seconds(seconds: float) -> None:
    """Makes the kernel end this process (SIGXCPU) after it has used `seconds` more of processor time."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    resource.setrlimit(
        resource.RLIMIT_CPU, (math.ceil(used.ru_utime + used.ru_stime + seconds), resource.RLIM_INFINITY)
    )


def _trim_memory() -> None:
    """Returns freed memory to the kernel, if the C library can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
    if trim is not None:
        trim(0)
