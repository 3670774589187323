"""Hands a process over to `tests.fakes.warm_starts`, before it imports anything. See there."""

import os
import sys


def hand_over(name: str) -> None:
    """Lets a fork do the work of this process, passes signals to stop on to it, and ends as it ends."""
    import json
    import signal
    import socket

    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(f"\0{name}")
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda signum, _: connection.send(str(int(signum)).encode()))
    work = json.dumps([sys.orig_argv[2:], dict(os.environ), os.getcwd()]).encode()
    socket.send_fds(connection, [work], [0, 1, 2])
    code = int(connection.recv(16) or b"1")
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if sys.orig_argv[1:2] == ["-m"] and sys.orig_argv[2] in os.environ.get("WARM_MODULES", "").split():
    hand_over(os.environ["WARM_SOCKET"])
