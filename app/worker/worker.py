"""The worker: waits for wake-ups, claims jobs and has each done by a process of its own.

The main thread listens, and starts and watches the process of a job that trains. A thread each works on imports,
evaluations and sweeps, which take minutes and must not wait for hours of training. Another beats: it renews the leases,
says that the worker is alive, and returns the jobs of silent workers to the queue. The last keeps house, once an hour.
"""

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from app.jobs.connection import StorageError, connect
from app.jobs.files import FileStore
from app.jobs.reconciler import Reconciler
from app.jobs.retention import JobRetention
from app.jobs.shared_files import open_shared_files
from app.jobs.wakeups import WakeupListener
from app.jobs.worker_queue import WorkerQueue
from app.jobs.workers import Capabilities, WorkerInfo, WorkerRegistry
from app.settings import Settings
from app.system.proc import read_machine_id, read_start_time
from app.worker.housekeeping import Housekeeping
from app.worker.machine import measure_use
from app.worker.queue_consumer import QueueConsumer

_TIMEOUT = 5.0  # seconds of one try to speak to Redis: above RQ's blocking read, and below a lease
_PAUSE = 1.0  # seconds before another try to reach Redis

_log = logging.getLogger(__name__)


class Worker:
    """trainer, environment: the command that trains, as `Supervisor` takes it, and its variables.
    capabilities: what jobs may ask for to be claimed here.

    After a worker's death another takes its job over within 6/5 of `lease_seconds`; one on the same
    machine sees the death at its next beat, after 1/5. While Redis is away, the trainer continues.
    """

    def __init__(
        self,
        url: str,
        settings: Settings,
        *,
        trainer: Sequence[str],
        environment: Mapping[str, str],
        capabilities: Capabilities,
    ) -> None:
        host = socket.gethostname()
        self.id = f"{host}-{os.getpid()}-{secrets.token_hex(3)}"
        self._redis = connect(url, timeout=_TIMEOUT)
        self._queue = WorkerQueue(self._redis, crash_backoff=settings.crash_backoff_seconds)
        self._registry = WorkerRegistry(self._redis)
        self._reconciler = Reconciler(self._queue, settings.jobs_dir, settings.lease_seconds)
        self._housekeeping = Housekeeping(
            self._queue,
            JobRetention(self._redis),
            FileStore(self._redis, settings.files_dir, shared=open_shared_files(settings.storage)),
            settings,
        )
        self._lease_seconds = settings.lease_seconds
        self._var_dir = settings.var_dir
        self._training, self._imports, self._evaluations, self._sweeps = (
            QueueConsumer(kind, self._queue, settings.jobs_dir, trainer, environment, lambda: self._stopping)
            for kind in ("pretraining", "import", "evaluation", "sweep")
        )
        # The consumers beside the training, and what tells each that a job may wait.
        self._beside = {consumer: threading.Event() for consumer in (self._imports, self._evaluations, self._sweeps)}
        self._info = WorkerInfo(
            id=self.id,
            host=host,
            machine=read_machine_id(),
            pid=os.getpid(),
            birth=read_start_time(os.getpid()),
            started_at=time.time(),
            ttl=max(3 * settings.lease_seconds, 5.0),
            capabilities=capabilities,
        )
        self._stopping = False
        self._is_away = False
        self._ended = threading.Event()
        self._listener: WakeupListener | None = None

    def run(self) -> None:
        """Works until SIGTERM or SIGINT, which hand the current job back to the queue first."""
        beating = threading.Thread(target=self._beat_until_the_end, name="beat", daemon=True)
        beating.start()
        threading.Thread(
            target=self._housekeeping.run_until, args=(self._ended,), name="housekeeping", daemon=True
        ).start()
        beside = [
            threading.Thread(target=self._consume_until_the_end, args=each, name=each[0].kind, daemon=True)
            for each in self._beside.items()
        ]
        for thread in beside:
            thread.start()
        _log.info("worker %s is ready", self.id)
        while not self._stopping:
            try:
                self._listener = WakeupListener(self._redis, on_wake=self._work, on_stop=self._stop)
                self._listener.work(logging_level="WARNING")
            except StorageError as e:
                self._notice_outage(e)
            if not self._stopping:
                time.sleep(_PAUSE)
        self._ring()
        for thread in beside:
            thread.join()
        self._ended.set()
        beating.join()
        _log.info("worker %s has stopped", self.id)

    def _stop(self) -> None:
        self._stopping = True

    def _ring(self) -> None:
        for rung in self._beside.values():
            rung.set()

    def _work(self) -> None:
        self._ring()
        self._training.work(self.id, self._lease_seconds, self._info.capabilities)

    def _consume_until_the_end(self, consumer: QueueConsumer, rung: threading.Event) -> None:
        """Looks for jobs at every wake-up and between two beats: while a job trains, no wake-up is read."""
        while not self._stopping:
            try:
                consumer.work(self.id, self._lease_seconds, self._info.capabilities)
            except StorageError as e:
                self._notice_outage(e)
            except Exception:  # the next job may be a good one
                _log.exception("the %s jobs of worker %s failed", consumer.kind, self.id)
            rung.wait(self._reconciler.interval)
            rung.clear()

    def _beat_until_the_end(self) -> None:
        repeat_until(self._ended, self._reconciler.interval, self._beat, self._notice_outage)
        try:
            self._registry.remove(self.id)
        except StorageError as e:
            _log.warning("worker %s could not sign off: %s", self.id, e)

    def _notice_outage(self, error: StorageError | None) -> None:
        """Logs once that Redis is away, and once that it is back. Several threads try it again and again."""
        if error is not None and not self._is_away:
            _log.warning("Redis does not answer, trying again: %s", error)
        elif error is None and self._is_away:
            _log.info("Redis answers again")
        self._is_away = error is not None

    def _beat(self) -> None:
        listener = self._listener
        for consumer in (self._training, *self._beside):
            consumer.beat(self._lease_seconds)
        doing = {
            "job_id": self._training.job_id,
            "import_id": self._imports.job_id,
            "evaluation_id": self._evaluations.job_id,
            "draining": self._stopping,
            "use": measure_use(self._var_dir),
        }
        self._registry.beat(self._info.model_copy(update=doing))
        neighbours = [w for w in self._registry.list() if w.machine == self._info.machine]
        dead = [w.id for w in neighbours if read_start_time(w.pid) != w.birth]
        self._reconciler.run(dead)
        for worker_id in dead:
            self._registry.remove(worker_id)
        if listener is not None:
            listener.heartbeat()  # RQ's own list of workers, for its tools


def repeat_until(
    ended: threading.Event,
    seconds: float,
    beat: Callable[[], None],
    notice_outage: Callable[[StorageError | None], None],
) -> None:
    """Calls `beat` at once and then every `seconds` until `ended` is set.

    An error does not end it: a worker without beats would lose its jobs. `notice_outage` is told after each call
    whether Redis was out of reach.
    """
    over = False
    while not over:
        try:
            beat()
            notice_outage(None)
        except StorageError as error:
            notice_outage(error)
        except Exception:
            _log.exception("a beat of the worker failed")
        over = ended.wait(seconds)
