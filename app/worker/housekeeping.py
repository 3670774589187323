"""Deletes data that has been kept for long enough: of ended jobs, of unused uploads and of unfinished uploads."""

import contextlib
import logging
import shutil
import threading
from pathlib import Path

from app.errors import Conflict, FileNotFound, JobNotFound, NotReady
from app.jobs.connection import StorageError
from app.jobs.files import FileStore
from app.jobs.retention import JobRetention
from app.jobs.worker_queue import WorkerQueue
from app.settings import Settings
from app.store.garbage import collect_garbage
from app.store.opening import open_model_bucket

_INTERVAL = 3600  # seconds
_DAY = 24 * 3600.0
_OF_CHECKPOINTS = ("checkpoints", "export", "skeleton")

_log = logging.getLogger(__name__)


class Housekeeping:
    def __init__(self, queue: WorkerQueue, retention: JobRetention, files: FileStore, settings: Settings) -> None:
        self._queue, self._retention, self._files, self._settings = queue, retention, files, settings

    def run_until(self, ended: threading.Event) -> None:
        """Cleans every hour, in one worker of all that share the queue, until `ended` is set."""
        while True:
            try:
                self._queue.repair_indexes()
                if self._retention.claim_period("housekeeping", _INTERVAL):
                    self.clean()
                if self._retention.claim_period("model-garbage", int(_DAY)):
                    self._collect_model_garbage()
            except (StorageError, NotReady) as e:
                _log.warning("old data are not deleted: %s", e)
            except OSError:  # a full or vanished disk may be well again in an hour
                _log.exception("old data are not deleted")
            if ended.wait(_INTERVAL):
                return

    def clean(self) -> None:
        settings = self._settings
        self._files.drop_unfinished(_DAY)
        for job_id in self._ended(settings.keep_checkpoints_days):
            with contextlib.suppress(JobNotFound):
                if self._retention.drop_checkpoints(job_id):
                    for part in _OF_CHECKPOINTS:
                        shutil.rmtree(settings.jobs_dir / job_id / part, ignore_errors=True)
        for job_id in self._ended(settings.keep_events_days):
            with contextlib.suppress(JobNotFound):
                if self._retention.drop_events(job_id):
                    _delete_logs(settings.jobs_dir / job_id)
        if settings.keep_files_days:
            for file_id in self._files.list_older(settings.keep_files_days * _DAY):
                with contextlib.suppress(Conflict, FileNotFound):  # a job reads it, or it was deleted just now
                    self._files.delete(file_id)

    def _collect_model_garbage(self) -> None:
        store = self._settings.model_store
        if not isinstance(store, Path):
            objects, size = collect_garbage(open_model_bucket(store))
            _log.info("deleted %d objects, %d bytes, that no model of %s has", objects, size, store)

    def _ended(self, days: float) -> list[str]:
        return [] if not days else self._retention.list_ended(days * _DAY)


def _delete_logs(folder: Path) -> None:
    for log in folder.glob("attempt-*.log"):
        log.unlink(missing_ok=True)
