"""`python -m app.worker`: one worker, configured by the environment alone."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import app
from app.errors import AppError
from app.jobs.connection import find_url
from app.jobs.privacy import hide_from_others
from app.jobs.shared_files import open_shared_files
from app.modalities.plugins import register_methods
from app.settings import Settings
from app.store.opening import open_store
from app.system.log_format import configure_logging
from app.worker.machine import capabilities
from app.worker.worker import Worker

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")


def trainer_environment(settings: Settings, url: str) -> dict[str, str]:
    """The worker's own variables; thread counts are only heeded when set before the process begins."""
    threads = dict.fromkeys(_THREAD_VARIABLES, str(settings.training_threads))
    root = str(Path(app.__file__).parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    # Threads that spin at a barrier would keep the server's own from it.
    return {
        "OMP_WAIT_POLICY": "passive",
        **os.environ,
        **threads,
        "PYTHONPATH": path,
        "CLOZE_REDIS_URL": url,
        "PYTHONUNBUFFERED": "1",
    }


def main() -> None:
    register_methods()
    settings = Settings()
    configure_logging(settings.log_level, settings.log_format)
    if settings.trainer == "ray" and find_spec("ray") is None:
        raise SystemExit("cloze worker: CLOZE_TRAINER=ray needs Ray; install it with pip install 'cloze[ray]'")
    try:
        url = find_url(settings.redis_url, settings.var_dir)
        open_store(settings, check=True)
        open_shared_files(settings.storage, check=True)
    except AppError as e:
        raise SystemExit(f"cloze worker: {e.message}") from e
    hide_from_others((settings.files_dir, settings.jobs_dir, settings.cache_dir))
    Worker(
        url,
        settings,
        trainer=[sys.executable, "-m", "app.worker.run_job"],
        environment=trainer_environment(settings, url),
        capabilities=capabilities(settings.devices[0], settings.training_threads, settings.trainer),
    ).run()


if __name__ == "__main__":
    main()
