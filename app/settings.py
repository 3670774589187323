"""Every setting of the service. Only composition roots (main, cli, worker) construct `Settings`.

Each field is the environment variable `CLOZE_<FIELD>`; docs/settings.md lists them.
"""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.system.cpus import cpu_count

MIB = 1024 * 1024


class Settings(BaseSettings):
    # An empty variable, as `CLOZE_THREADS=` in a file of them, is an unset one.
    model_config = SettingsConfigDict(env_prefix="CLOZE_", env_ignore_empty=True, frozen=True, extra="ignore")

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    root_path: str | None = None  # where a proxy serves this server, such as /cloze
    var_dir: Path = Path("var")
    model_store: Path = Path("model_store")
    redis_url: str | None = None  # unset: the embedded redis-server under var_dir
    workers: int = Field(1, ge=0)  # worker processes beside the embedded Redis
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    api_keys: Annotated[tuple[str, ...], NoDecode] = ()  # comma-separated; empty: no key is asked for
    allow_open: bool = False  # may listen beyond this machine without keys
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()  # comma-separated; names of the server; "*": any
    default_model: str | None = None  # unset: `cloze-text` if it is there, else the first of the store
    allow_hub: bool = False  # `cloze models import HUB_ID` may download

    device: str = "auto"  # auto | cpu | cuda | cuda:N
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    forwards: int | None = Field(None, ge=1)  # at once; unset: one on each of up to 4 processors
    threads: int | None = Field(None, ge=1)  # torch threads of each
    max_batch_tokens: int | None = Field(None, ge=1)  # unset: 16384 on a GPU, 4096 on a CPU
    max_queued_inputs: int = Field(8192, ge=1)  # admission: inputs waiting or running
    max_loaded_models: int = Field(8, ge=1)  # least recently used beyond this are unloaded
    model_memory_bytes: int | None = Field(None, ge=1)  # of the weights of all loaded models; beyond it likewise
    max_request_inputs: int = Field(2048, ge=1)
    max_masks: int = Field(64, ge=1)  # in one input
    max_top_k: int = Field(1000, ge=1)
    max_body_bytes: int = Field(16 * MIB, ge=1)  # JSON bodies
    max_file_bytes: int = Field(8192 * MIB, ge=1)  # one upload
    max_bodies_bytes: int | None = Field(None, ge=1)  # of all bodies that are being read; unset: see `bodies_bytes`
    body_timeout: float = Field(30.0, gt=0)  # seconds in which some of a body has to arrive
    max_connections: int = Field(8192, ge=1)
    header_timeout: float = Field(30.0, gt=0)  # seconds until the headers of a request have to be there
    # Longer than clients and proxies keep an idle connection: a server that closes first cuts off their next request.
    keep_alive_timeout: float = Field(75.0, gt=0)  # seconds between an answer and the next request
    media_hosts: Annotated[tuple[str, ...], NoDecode] = ()  # comma-separated; media by address come from no others
    media_timeout: float = Field(10.0, gt=0)  # seconds that one of them may take

    # Files of other people are read in child processes, within these limits.
    decoder_processes: int = Field(4, ge=1)  # that decode the media of requests
    decoder_memory_bytes: int = Field(2048 * MIB, ge=256 * MIB)  # of one that decodes, in serving and in jobs
    decoder_seconds: float = Field(120.0, ge=1)  # of processor time for one file, in serving and in jobs
    check_memory_bytes: int = Field(3072 * MIB, ge=256 * MIB)  # of one that looks at a job's file
    check_seconds: float = Field(30.0, ge=1)  # of processor time for one look
    disk_reserve_bytes: int | None = Field(None, ge=0)  # kept free under var_dir; unset: 1 GiB or 5 %, the lesser
    stop_seconds: float = Field(10.0, ge=0)  # that requests under way have when the server stops

    worker_threads: int | None = Field(None, ge=1)  # torch threads of a training job
    worker_nice: int = Field(10, ge=0, le=19)  # training yields the processor to serving
    cache_bytes: int = Field(50 * 1024 * MIB, ge=0)  # of tokenised data, kept for later jobs
    lease_seconds: float = Field(10.0, gt=0)  # a worker silent for so long has lost its job
    crash_backoff_seconds: float = Field(1.0, ge=0)  # before a crashed job is tried again; then 4×, 16×, …
    idempotency_hours: float = Field(24.0, gt=0)  # for which an Idempotency-Key is remembered

    # Days after which the worker deletes what it is that no unfinished job uses; unset: never.
    keep_events_days: float | None = Field(None, gt=0)  # of ended jobs, their logs included
    keep_checkpoints_days: float | None = Field(None, gt=0)  # of ended jobs
    keep_files_days: float | None = Field(None, gt=0)  # uploads

    mlflow_tracking_uri: str | None = None  # where metrics of jobs go too
    mlflow_experiment: str = "cloze"

    webhook_url: str | None = None  # of jobs that name none; may be private
    webhook_secret: str | None = Field(None, repr=False)  # whsec_ and 24 to 64 bytes in base64
    webhook_allow_private: bool = False  # users' own webhooks may lead into the server's network

    @field_validator("api_keys", "allowed_hosts", "media_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(k.strip() for k in value.split(",") if k.strip()) if isinstance(value, str) else value

    @field_validator("root_path")
    @classmethod
    def _check_root_path(cls, path: str | None) -> str | None:
        path = path.rstrip("/") if path else None
        if path and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", path):
            raise ValueError("expected a path such as /cloze")
        return path

    @field_validator("redis_url")
    @classmethod
    def _check_redis_url(cls, url: str | None) -> str | None:
        if url and not url.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("expected redis://HOST:PORT/0, rediss://… or unix://…")
        return url

    @model_validator(mode="after")
    def _check_webhook(self) -> Self:
        if self.webhook_url and not self.webhook_secret:
            raise ValueError("CLOZE_WEBHOOK_URL needs CLOZE_WEBHOOK_SECRET: receivers check the signature")
        return self

    @property
    def bodies_bytes(self) -> int:
        """The bytes that all bodies under way may take together."""
        return self.max_bodies_bytes or max(256 * MIB, 4 * self.max_body_bytes)

    @property
    def files_dir(self) -> Path:
        return self.var_dir / "files"

    @property
    def jobs_dir(self) -> Path:
        return self.var_dir / "jobs"

    @property
    def cache_dir(self) -> Path:
        return self.var_dir / "cache"

    @property
    def training_threads(self) -> int:
        return self.worker_threads or cpu_count()
