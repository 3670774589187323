"""Forks processes from one that has imported what they need.

A server or a job spends seconds of processor time on imports, which is most of a short test. With the variables that
`warm_starts` yields, `python -m MODULE` starts as ever; `warm_hook/sitecustomize.py` then hands it over to a fork.
"""

import contextlib
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from app.system.child import bound_command, die_with_parent
from tests.fakes.cloze import ROOT

_HOOK = Path(__file__).with_name("warm_hook")
_LONGEST = 1 << 20  # bytes of a message


SERVERS_AND_JOBS = {
    "app.cli": ("app.commands.serve", "app.main"),
    "app.worker.run_job": ("app.worker.import_job", "app.worker.train_job", "transformers.models.bert.modeling_bert"),
}


@contextlib.contextmanager
def warm_starts(
    modules: Mapping[str, Sequence[str]], environment: Mapping[str, str] = os.environ
) -> Iterator[dict[str, str]]:
    """Starts the process to fork, and yields the variables with which processes of the modules are forks.

    modules: each with what is imported beforehand. environment: the variables of these imports; libraries read some.
    """
    imports = [each for needed in modules.values() for each in needed]
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind("")  # the kernel chooses an abstract name
        listener.listen()
        command = [sys.executable, "-m", "tests.fakes.warm_starts", str(listener.fileno()), *imports]
        process = subprocess.Popen(
            bound_command(command),
            cwd=ROOT,
            env={**environment, "PYTHONUNBUFFERED": "1"},
            pass_fds=[listener.fileno()],
        )
        try:
            yield {
                "WARM_MODULES": " ".join(modules),
                "WARM_SOCKET": listener.getsockname()[1:].decode(),
                "PYTHONPATH": os.pathsep.join(filter(None, [str(_HOOK), environment.get("PYTHONPATH")])),
            }
        finally:
            process.kill()
            process.wait()


def main(descriptor: int, imports: Sequence[str]) -> None:
    """Forks a guard for each connection; the work ends with its guard, and the guard with this process."""
    for each in imports:
        importlib.import_module(each)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # guards are not waited for
    listener, parent = socket.socket(fileno=descriptor), os.getpid()
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            die_with_parent(parent)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            return _guard(connection)
        connection.close()


def _guard(connection: socket.socket) -> None:
    message, streams, _, _ = socket.recv_fds(connection, _LONGEST, 3)
    arguments, environment, folder = json.loads(message)
    guard, job = os.getpid(), os.fork()
    if job == 0:
        die_with_parent(guard)
        connection.close()
        return _work(arguments, environment, folder, streams)
    for stream in streams:
        os.close(stream)
    ended = os.pidfd_open(job)
    while True:
        ready, _, _ = select.select([ended, connection], [], [])
        if ended in ready:
            code = os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])
            with contextlib.suppress(OSError):
                connection.send(str(code).encode())
            os._exit(0)
        os.kill(job, int(connection.recv(16) or signal.SIGKILL))  # without a message, that process is gone


def _work(arguments: list[str], environment: dict[str, str], folder: str, streams: list[int]) -> None:
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = arguments
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
