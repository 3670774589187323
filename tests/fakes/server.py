"""A real uvicorn server in a thread, for clients that speak over sockets."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from app.http.connections import ConnectionLimits
from app.http.server import configure

PATIENCE = 120.0  # seconds, on a busy machine


@contextmanager
def serving(app: Any, port: int = 0, limits: ConnectionLimits | None = None) -> Iterator[str]:
    """The address of the running application: http://127.0.0.1:PORT; by default, on a free port."""
    started = threading.Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            started.set()

    config = configure(app, limits or ConnectionLimits(), host="127.0.0.1", port=port, log_level="warning")
    server = Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        assert started.wait(PATIENCE)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive(), "the server did not stop"
