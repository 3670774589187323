"""A worker whose jobs are done by tests.fakes.trainer: `python -m tests.fakes.worker`."""

import sys

from app.settings import Settings
from app.worker.__main__ import trainer_environment
from app.worker.machine import capabilities
from app.worker.worker import Worker

if __name__ == "__main__":
    settings = Settings()
    assert settings.redis_url
    Worker(
        settings.redis_url,
        settings,
        trainer=[sys.executable, "-m", "tests.fakes.trainer"],
        environment=trainer_environment(settings, settings.redis_url),
        capabilities=capabilities(settings.devices[0], settings.training_threads),
    ).run()
