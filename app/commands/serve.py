"""`cloze serve`: the API, an embedded Redis and workers, all stopped by one Ctrl-C.

The API runs in this process. If CLOZE_REDIS_URL is set, only the API is started, and workers run elsewhere.
"""

import asyncio
import contextlib
import gc
import json
import logging
import os
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import typer
import uvicorn
import uvloop

from app import __version__
from app.commands.client import default_url
from app.commands.kept_data import describe_kept_data
from app.commands.listening import check_exposure, describe_address, is_loopback, listen
from app.commands.memory import trim_regularly
from app.commands.output import note
from app.commands.processes import WorkerProcesses
from app.commands.redis_supervisor import RedisSupervisor
from app.errors import AppError
from app.http.connections import ConnectionLimits
from app.http.server import configure, connections_within, raise_descriptor_limit
from app.jobs.connection import EmbeddedRedis
from app.jobs.privacy import hide_from_others
from app.settings import Settings
from app.store.store import ModelEntry
from app.system.log_format import configure_logging
from app.types import Task

if TYPE_CHECKING:
    from app.api.deps import Services

_TICK = 0.2  # seconds

_log = logging.getLogger(__name__)


def serve(settings: Settings) -> NoReturn:
    """Runs until SIGINT or SIGTERM, then ends the process. Raises AppError if something cannot start."""
    configure_logging(settings.log_level, settings.log_format)
    logging.getLogger("uvicorn.error").setLevel("DEBUG" if settings.log_level == "debug" else "WARNING")
    check_exposure(settings)
    descriptors = raise_descriptor_limit()  # of the workers too
    hide_from_others((settings.files_dir, settings.jobs_dir, settings.cache_dir))
    interrupted = _install_signal_handlers()
    with contextlib.ExitStack() as stack:
        redis: RedisSupervisor | None = None
        count = 0
        if not settings.redis_url:
            embedded = EmbeddedRedis(settings.var_dir)
            embedded.acquire()
            stack.callback(embedded.stop)
            settings = settings.model_copy(update={"redis_url": embedded.url})
            redis = RedisSupervisor(embedded)
            redis.start()
            count = settings.workers
        listener = stack.enter_context(listen(settings.host, settings.port))
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        _print(settings, f"Cloze {__version__} is starting\n{describe_kept_data(settings)}")
        workers = WorkerProcesses(count, [sys.executable, "-m", "app.worker"], _worker_environment(settings))
        stack.callback(workers.stop)
        service = _Service(settings, listener, workers, redis, _limits(settings, descriptors))
        with asyncio.Runner(loop_factory=_new_event_loop) as loop:
            loop.run(service.run(interrupted))
    _exit_process()


def _exit_process() -> NoReturn:
    """Ends the process without waiting for threads, because decoding or rendering may take minutes more."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(0)


class _UnawaitedExecutor(ThreadPoolExecutor):
    """The event loop's own threads, which it does not wait for when it is closed."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait=False, cancel_futures=True)


def _new_event_loop() -> asyncio.AbstractEventLoop:
    loop = uvloop.new_event_loop()
    loop.set_default_executor(_UnawaitedExecutor(thread_name_prefix="asyncio"))
    return loop


def _install_signal_handlers() -> threading.Event:
    """Makes SIGINT and SIGTERM raise KeyboardInterrupt until the server handles them, so that everything is stopped.

    Returns an event that is set by a signal. It is needed because a finalizer that happens to run at that moment
    swallows the exception; such a report is suppressed.
    """
    received = threading.Event()

    def interrupt(signum: int, frame: FrameType | None) -> None:
        received.set()
        raise KeyboardInterrupt

    def report(swallowed: "sys.UnraisableHookArgs") -> None:
        if swallowed.exc_type is not KeyboardInterrupt:
            sys.__unraisablehook__(swallowed)

    sys.unraisablehook = report
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, interrupt)
    return received


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Does nothing: the service handles signals. uvicorn would raise them again at its end and kill the process."""
        yield


class _Service:
    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        workers: WorkerProcesses,
        redis: RedisSupervisor | None,
        limits: ConnectionLimits,
    ) -> None:
        # Read when torch is loaded. Threads that spin at a barrier would slow down a training job.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        # oneDNN and its binding each cache up to 1024 shapes of a product, up to 0.7 GB. Batches have few shapes,
        # because their sizes are rounded (modalities/text/batches.py): a model needs about 100.
        for cache in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
            os.environ.setdefault(cache, "128")
        # Seconds that a thread keeps the GIL while others wait for it; the default is 0.005. The event loop and each
        # forward acquire it many times per request, and would wait that long for a thread that serializes.
        sys.setswitchinterval(0.0005)
        from app.main import create_app  # imports torch, which takes seconds, while Redis and the workers start

        app = create_app(settings)
        # Objects of the imports stay alive. Freezing them shortens the collector's pause when a model is unloaded.
        gc.collect()
        gc.freeze()
        config = configure(
            app,
            limits,
            log_config=None,
            access_log=False,  # the application has its own
            timeout_graceful_shutdown=settings.stop_seconds,
        )
        self._server = _Server(config)
        self._services: Services = app.state.services
        self._settings, self._listener, self._workers, self._redis = settings, listener, workers, redis
        self._loading = self._services.warm_up_error  # its value until the default model is loaded
        self._failure: str | None = None
        self._draining: asyncio.TimerHandle | None = None

    async def run(self, interrupted: threading.Event) -> None:
        """Runs the server. `interrupted` is set if a signal came before this could handle it."""
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signum, self._stop, signum)
        if interrupted.is_set():
            raise KeyboardInterrupt
        watching = asyncio.create_task(self._watch())
        announcing = asyncio.create_task(self._announce())
        trimming = asyncio.create_task(trim_regularly())
        try:
            await self._server.serve(sockets=[self._listener])
        finally:
            for task in (watching, announcing, trimming):
                task.cancel()
            await asyncio.gather(watching, announcing, trimming, return_exceptions=True)
        if not self._server.started:
            self._failure = "the server did not start; see the messages above"
        if self._failure is not None:
            raise AppError(self._failure)

    def _stop(self, signum: int) -> None:
        seconds = self._settings.drain_seconds
        if not self._services.draining:
            self._tell("Stopping: requests in progress finish, and jobs are saved and returned to the queue.")
            self._services.draining = True
            self._workers.terminate()  # at once, so that they save while requests finish
            if seconds:
                self._tell(
                    f"/ready answers 503. Requests are served for {seconds:g} s more. Stop it again to end this."
                )
                # Clients and proxies are to open their next connection elsewhere. uvicorn makes the second list anew
                # from the first every second.
                for headers in (self._server.config.encoded_headers, self._server.server_state.default_headers):
                    headers.append((b"connection", b"close"))
                self._draining = asyncio.get_running_loop().call_later(seconds, self._end, signum)
                return
        if self._draining is not None:
            self._draining.cancel()
        self._end(signum)

    def _tell(self, text: str) -> None:
        if self._settings.log_format == "json":
            _log.info("%s", text)
        else:
            note(f"\n{text}")

    def _end(self, signum: int) -> None:
        if self._services.feed is not None:
            self._services.feed.end()  # streams of events would otherwise delay the stop
        self._server.handle_exit(signum, None)

    async def _watch(self) -> None:
        while not self._server.should_exit:
            try:
                self._workers.check()
                if self._redis is not None:
                    self._redis.check()
            except Exception:  # the next round may succeed
                _log.exception("the check of workers and Redis failed")
            await asyncio.sleep(_TICK)

    async def _announce(self) -> None:
        while not self._server.started:
            await asyncio.sleep(_TICK)
        url = default_url(self._settings)
        address = describe_address(self._settings.host, self._settings.port)
        _print(self._settings, f"Listening on {address}\n  page       {url}/\n  reference  {url}/docs")
        guard = self._services.access.guard
        if not guard.is_open:
            _log.info("requests need an API key; a key of `cloze keys` may have %s", guard.defaults.describe())
        elif not is_loopback(self._settings.host):
            _log.warning("there are no API keys: anyone who reaches this server can use all of it")
        while self._services.warm_up_error == self._loading:
            await asyncio.sleep(_TICK)
        if self._services.warm_up_error is None:  # otherwise the log has the error
            _print(self._settings, await asyncio.to_thread(self._first_steps, url))

    def _first_steps(self, url: str) -> str:
        try:
            default = self._services.store.resolve(self._services.pool.default_id())
        except AppError:
            default = None
        return first_steps(url, default, needs_key=not self._services.access.guard.is_open)


def _print(settings: Settings, text: str) -> None:
    """Tells the operator how the server starts: on standard output, or as a line of the log that programs read."""
    if settings.log_format == "json":
        _log.info("%s", text)
    else:
        typer.echo(text)


def first_steps(url: str, default: ModelEntry | None, *, needs_key: bool) -> str:
    """Formats a command to start with: a request to the default model, or how to get a model."""
    if default is None:
        return (
            "The model store is empty. Train a model, or import one:\n"
            "  cloze pretrain TEXT_FILE --model modernbert-mini --name my-model --watch\n"
            "  cloze models import FOLDER --name my-model"
        )
    if Task.FILL_MASK in default.manifest.tasks:
        path, text = "/v1/fill-mask", "Tokyo is the capital of [MASK]."
    else:
        path, text = "/v1/embeddings", "The lions chase the zebras."
    key = " -H 'authorization: Bearer KEY'" if needs_key else ""
    body = shlex.quote(json.dumps({"input": text}))
    return f"{default.id} is ready. Try:\n  curl {url}{path}{key} -H 'content-type: application/json' -d {body}"


def _limits(settings: Settings, descriptors: int) -> ConnectionLimits:
    connections = connections_within(descriptors, settings.max_connections)
    if connections < settings.max_connections:
        _log.info("at most %d connections at once: the system allows %d open files", connections, descriptors)
    return ConnectionLimits(connections, settings.header_timeout, settings.keep_alive_timeout)


def _worker_environment(settings: Settings) -> dict[str, str]:
    return {**os.environ, "CLOZE_REDIS_URL": settings.redis_url or ""}
