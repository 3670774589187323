"""All settings of the service. Only composition roots (main, cli, worker) construct `Settings`.

The field `name` is read from the environment variable `CLOZE_NAME`. docs/settings.md lists all of them.
"""

import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.system.cpus import cpu_count
from app.system.remote_access import RemoteAccess

MIB = 1024 * 1024
_ORIGIN = re.compile(r"https?://[a-z0-9.\-\[\]:]+")  # as browsers send it: in lower case
_BUCKET = re.compile(r"file:///.*|(s3|gs|az)://[A-Za-z0-9._-]+(/[A-Za-z0-9._/-]*)?")


class Settings(BaseSettings):
    # An empty variable, such as the line `CLOZE_THREADS=` of an env file, counts as unset.
    model_config = SettingsConfigDict(env_prefix="CLOZE_", env_ignore_empty=True, frozen=True, extra="ignore")

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    root_path: str | None = None  # the path under which a proxy serves this server, such as /cloze
    var_dir: Path = Path("var")
    model_store: Path | str = Path("model_store")  # a str: the address of a bucket
    storage: str | None = None  # a bucket for uploads; unset: they are in `files` under var_dir
    model_cache_dir: Path | None = None  # local copies of models in a bucket; unset: `models` under var_dir
    model_cache_bytes: int = Field(50 * 1024 * MIB, ge=1)  # of all local copies
    redis_url: str | None = None  # unset: an embedded redis-server under var_dir
    workers: int = Field(1, ge=0)  # worker processes that run with the embedded Redis
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"
    otel_endpoint: str | None = None  # an OpenTelemetry collector, as http://127.0.0.1:4318; needs the extra `otel`
    otel_sample_ratio: float = Field(1.0, ge=0, le=1)  # of the requests and attempts that are traced
    access_log: bool = False  # one line for each request; also with the log level debug

    api_keys: Annotated[tuple[str, ...], NoDecode] = ()  # comma-separated; empty: no key is required
    allow_open: bool = False  # allow other machines to connect without keys
    require_keys: bool = False  # require a key even before the first one is made
    # Limits of keys that are made by `cloze keys`, unless a key has its own. 0: none.
    key_requests_per_minute: int = Field(0, ge=0)
    key_concurrency: int = Field(0, ge=0)  # requests in progress at once
    key_storage_bytes: int = Field(100 * 1024 * MIB, ge=0)  # of all uploaded files
    key_jobs: int = Field(100, ge=0)  # that have not ended
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()  # comma-separated; names of the server; "*": any
    root_routes: bool = True  # routes of other services' dialects that have no prefix: /embed, /embeddings, POST /, …
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()  # comma-separated; pages that may use the API; "*": any
    peers: Annotated[tuple[str, ...], NoDecode] = ()  # comma-separated; addresses of the servers that share the models
    model_servers: int = Field(1, ge=1)  # of the peers, for each model
    default_model: str | None = None  # unset: `cloze-text` if it is there, else the first of the store
    allow_hub: bool = False  # allow imports and jobs to download from the Hugging Face hub, and pushes to upload
    hub_organizations: Annotated[tuple[str, ...], NoDecode] = ()  # comma-separated; may be imported; empty: all
    max_import_bytes: int = Field(32 * 1024 * MIB, ge=1)  # of one imported model: its download, or its unpacked archive

    device: str = "auto"  # auto | cpu | cuda | cuda:N; comma-separated: models are served on all of them
    model_devices: int | None = Field(None, ge=1)  # devices that a model is loaded on; unset: all
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    forwards: int | None = Field(None, ge=1)  # forwards at once; unset: one on each of up to 4 processors
    threads: int | None = Field(None, ge=1)  # intra-op threads of each forward
    max_batch_tokens: int | None = Field(None, ge=1)  # unset: 16384 on a GPU, 4096 on a CPU
    max_queued_inputs: int = Field(8192, ge=1)  # permits: inputs that wait or run
    max_loaded_models: int = Field(8, ge=1)  # beyond it, the least recently used models are unloaded
    model_memory_bytes: int | None = Field(None, ge=1)  # the same limit in bytes of weights
    max_request_inputs: int = Field(2048, ge=1)
    max_masks: int = Field(64, ge=1)  # in one input
    max_top_k: int = Field(1000, ge=1)
    # Whose ids an input of token ids holds, unless the request says it.
    token_ids: Literal["refuse", "model", "cl100k_base"] = "refuse"  # noqa: S105
    # What becomes of a text that is too long to embed, unless the request says it.
    embed_overflow: Literal["windows", "truncate", "error"] = "windows"
    cache: Literal["off", "memory", "redis"] = "off"  # of answers; `cache_bytes` is for prepared data
    cache_answer_bytes: int = Field(256 * MIB, ge=1)  # of all cached answers
    cache_redis_url: str | None = None  # a Redis for the cache alone
    cache_redis_seconds: int = Field(7 * 86400, ge=1)  # after its last use, an answer in Redis is dropped
    max_body_bytes: int = Field(16 * MIB, ge=1)  # JSON bodies
    max_file_bytes: int = Field(8192 * MIB, ge=1)  # one upload
    max_bodies_bytes: int | None = Field(None, ge=1)  # all bodies in progress together; unset: see `bodies_bytes`
    body_timeout: float = Field(30.0, gt=0)  # seconds within which the next part of a body must arrive
    max_connections: int = Field(8192, ge=1)
    header_timeout: float = Field(30.0, gt=0)  # seconds within which the headers of a request must arrive
    # Longer than clients and proxies keep an idle connection: a server that closes first cuts off their next request.
    keep_alive_timeout: float = Field(75.0, gt=0)  # seconds between a response and the next request
    media_hosts: Annotated[tuple[str, ...], NoDecode] = ()  # comma-separated; the hosts of media URLs; empty: none
    media_timeout: float = Field(10.0, gt=0)  # seconds for one download
    # Files of other servers that jobs may read, beside those of the hub (`allow_hub`).
    data_hosts: Annotated[tuple[str, ...], NoDecode] = ()  # comma-separated; of https:// files; empty: none
    data_buckets: Annotated[tuple[str, ...], NoDecode] = ()  # comma-separated; of s3:// files; empty: none
    data_allow_private: bool = False  # allow `data_hosts` to have private addresses

    # Users' files are read in child processes, within these limits.
    decoder_processes: int = Field(4, ge=1)  # processes that decode the media of requests
    decoder_memory_bytes: int = Field(2048 * MIB, ge=256 * MIB)  # memory of a decoder, in serving and in jobs
    decoder_seconds: float = Field(120.0, ge=1)  # processor time to decode one file, in serving and in jobs
    check_memory_bytes: int = Field(3072 * MIB, ge=256 * MIB)  # memory of a process that checks a job's file
    check_seconds: float = Field(30.0, ge=1)  # processor time of one check
    disk_reserve_bytes: int | None = Field(None, ge=0)  # kept free under var_dir; unset: 1 GiB or 5 %, the lesser
    drain_seconds: float = Field(0.0, ge=0)  # for which a server that is to stop still serves, but is not ready
    stop_seconds: float = Field(10.0, ge=0)  # for requests in progress when the server stops

    trainer: Literal["local", "ray"] = "local"  # where jobs train; ray: on a cluster
    ray_address: str | None = None  # of the cluster's head, HOST:PORT; unset: RAY_ADDRESS, or this machine's cluster
    worker_threads: int | None = Field(None, ge=1)  # intra-op threads of a training job
    worker_nice: int = Field(10, ge=0, le=19)  # niceness of training, which gives serving priority
    cache_bytes: int = Field(50 * 1024 * MIB, ge=0)  # prepared data kept for later jobs
    lease_seconds: float = Field(10.0, gt=0)  # a worker that is silent for this long loses its job
    crash_backoff_seconds: float = Field(1.0, ge=0)  # before a crashed job is retried; then 4×, 16×, …
    idempotency_hours: float = Field(24.0, gt=0)  # lifetime of an Idempotency-Key

    # Days after which the worker deletes data that no unfinished job uses; 0: never.
    max_sweep_jobs: int = Field(64, ge=1)  # of one sweep
    keep_events_days: float = Field(0.0, ge=0)  # of ended jobs, with their logs
    keep_checkpoints_days: float = Field(90.0, ge=0)  # of ended jobs: by far the largest of what is kept
    keep_files_days: float = Field(0.0, ge=0)  # uploads

    mlflow_tracking_uri: str | None = None  # an MLflow server that also receives the metrics of jobs
    mlflow_experiment: str = "cloze"

    webhook_url: str | None = None  # for jobs without their own webhook; may be private
    webhook_secret: str | None = Field(None, repr=False)  # `whsec_` and 24 to 64 bytes in base64
    webhook_allow_private: bool = False  # allow users' webhooks with private addresses

    @field_validator(
        *("api_keys", "allowed_hosts", "cors_origins", "media_hosts", "hub_organizations", "data_hosts"),
        *("data_buckets", "peers"),
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(k.strip() for k in value.split(",") if k.strip()) if isinstance(value, str) else value

    @field_validator("model_store", mode="before")
    @classmethod
    def _check_store(cls, store: object) -> object:
        if not isinstance(store, str) or "://" not in store:
            return Path(store) if isinstance(store, str) else store
        if not re.fullmatch(_BUCKET, store):
            raise ValueError("expected a folder, file:///folder, s3://bucket/prefix, gs://bucket or az://container")
        return Path(unquote(urlsplit(store).path)) if store.startswith("file:") else store

    @field_validator("storage")
    @classmethod
    def _check_storage(cls, storage: str | None) -> str | None:
        if storage and not re.fullmatch(_BUCKET, storage):
            raise ValueError("expected s3://bucket/prefix, gs://bucket, az://container or file:///folder")
        return storage

    @field_validator("root_path")
    @classmethod
    def _check_root_path(cls, path: str | None) -> str | None:
        path = path.rstrip("/") if path else None
        if path and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", path):
            raise ValueError("expected a path such as /cloze")
        return path

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        wrong = next((each for each in origins if each != "*" and not _ORIGIN.fullmatch(each)), None)
        if wrong is not None:
            raise ValueError(f"expected origins such as https://app.example.org, without a path, not {wrong[:100]!r}")
        return origins

    @field_validator("peers")
    @classmethod
    def _check_peers(cls, peers: tuple[str, ...]) -> tuple[str, ...]:
        wrong = next((each for each in peers if not _ORIGIN.fullmatch(each)), None)
        if wrong is not None:
            raise ValueError(f"expected addresses such as http://cloze-0:8000, without a path, not {wrong[:100]!r}")
        return peers

    @field_validator("redis_url", "cache_redis_url")
    @classmethod
    def _check_redis_url(cls, url: str | None) -> str | None:
        if url and not url.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("expected redis://HOST:PORT/0, rediss://… or unix://…")
        return url

    @model_validator(mode="after")
    def _check_cors(self) -> Self:
        if "*" in self.cors_origins and not (self.api_keys or self.require_keys):
            raise ValueError(
                "CLOZE_CORS_ORIGINS=* requires CLOZE_API_KEYS or CLOZE_REQUIRE_KEYS:"
                " any page could train and delete models"
            )
        return self

    @model_validator(mode="after")
    def _check_webhook(self) -> Self:
        if self.webhook_url and not self.webhook_secret:
            raise ValueError("CLOZE_WEBHOOK_URL requires CLOZE_WEBHOOK_SECRET: receivers check the signature")
        return self

    @model_validator(mode="after")
    def _check_cache(self) -> Self:
        if self.cache != "redis":
            return self
        if not self.cache_redis_url:
            raise ValueError("CLOZE_CACHE=redis requires CLOZE_CACHE_REDIS_URL, a Redis for the cache alone")
        jobs = self.redis_url or f"unix://{self.var_dir.resolve() / 'redis' / 'redis.sock'}"
        if _server_of(self.cache_redis_url) == _server_of(jobs):
            raise ValueError(
                "CLOZE_CACHE_REDIS_URL is the Redis of the jobs: cached answers would fill its memory and its"
                " append-only file. Run another Redis, without persistence"
            )
        return self

    @property
    def bodies_bytes(self) -> int:
        """The limit in bytes of all bodies in progress together."""
        return self.max_bodies_bytes or max(256 * MIB, 4 * self.max_body_bytes)

    @property
    def remote_access(self) -> RemoteAccess:
        """The rules for files of other servers that jobs read."""
        return RemoteAccess(
            hosts=self.data_hosts,
            buckets=self.data_buckets,
            hub=self.allow_hub,
            organizations=self.hub_organizations,
            allow_private=self.data_allow_private,
            max_bytes=self.max_file_bytes,
        )

    @property
    def devices(self) -> tuple[str, ...]:
        """The names of the devices. Jobs use the first one."""
        return tuple(name.strip() for name in self.device.split(","))

    @property
    def files_dir(self) -> Path:
        return self.var_dir / "files"

    @property
    def jobs_dir(self) -> Path:
        return self.var_dir / "jobs"

    @property
    def model_copies_dir(self) -> Path:
        """The folder of the local copies of models that are in a bucket."""
        return self.model_cache_dir or self.var_dir / "models"

    @property
    def cache_dir(self) -> Path:
        return self.var_dir / "cache"

    @property
    def training_threads(self) -> int:
        return self.worker_threads or cpu_count()


def _server_of(url: str) -> tuple[str, int]:
    """Returns the host and the port of a Redis, or the path of its socket; all databases of a server share both."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return str(Path(unquote(parts.path)).resolve()), 0
    host = (parts.hostname or "localhost").lower()
    return "127.0.0.1" if host in ("localhost", "::1") else host, parts.port or 6379
