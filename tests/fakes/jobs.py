"""A job specification whose training file is known to Redis."""

from typing import Any

from app.jobs.connection import Client
from app.jobs.indexes import file_key
from app.jobs.spec import JobSpec


def make_spec(redis: Client, **changes: Any) -> JobSpec:
    redis.set(file_key("file-1"), "{}")
    values: dict[str, Any] = {
        "model": "bert-tiny",
        "method": "mlm",
        "hyperparameters": {"max_steps": 10},
        "training_files": ("file-1",),
        "name": "tiny",
    }
    return JobSpec(**{**values, **changes})
