"""Builds what answers requests from the settings: for the server, and for a command without a server."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from app.devices import resolve_devices, resolve_dtype
from app.errors import InvalidValue
from app.inference.answer_cache import AnswerCache, CacheObserver, MemoryCache
from app.inference.answer_keys import AnswerKeys
from app.inference.limits import RequestLimits
from app.inference.redis_cache import RedisCache
from app.inference.remote_media import MediaFetcher
from app.inference.service import Inference
from app.inference.shared_answers import SharedAnswers
from app.inference.token_ids import build_reader
from app.modalities import registry
from app.modalities.served_model import ServedModel
from app.serving.observer import EngineObserver
from app.serving.pool import EnginePool
from app.serving.runners import make_runners
from app.settings import Settings
from app.store.opening import open_store
from app.store.store import ModelStore
from app.system.pool_process import ProcessLimits
from app.system.process_pool import ProcessPool

_NICENESS = 5  # of decoders: they yield the processors to the models


def build_pool(
    settings: Settings,
    store: ModelStore,
    *,
    load: Callable[[Path], ServedModel] | None = None,
    observer: EngineObserver | None = None,
) -> EnginePool:
    """load: reads a model folder; the registry's loader by default.

    Raises InvalidValue for devices that this machine does not have.
    """
    try:
        devices = resolve_devices(settings.devices)
    except InvalidValue as error:
        raise InvalidValue(f"CLOZE_DEVICE: {error.message}", param="device") from None
    dtype = resolve_dtype(settings.dtype, *devices)
    runners = make_runners(
        devices,
        max_batch_tokens=settings.max_batch_tokens,
        max_queued_inputs=settings.max_queued_inputs,
        forwards=settings.forwards,
        threads=settings.threads,
        observer=observer,
    )
    decoding = ProcessLimits(settings.decoder_memory_bytes, settings.decoder_seconds, niceness=_NICENESS)
    return EnginePool(
        store,
        runners,
        load=load or partial(registry.load, dtype=dtype),
        dtype=dtype,
        model_devices=settings.model_devices,
        default_model=settings.default_model,
        max_loaded=settings.max_loaded_models,
        max_bytes=settings.model_memory_bytes,
        observer=observer,
        decoders=ProcessPool(settings.decoder_processes, decoding),
    )


def build_inference(settings: Settings, pool: EnginePool, *, observer: CacheObserver | None = None) -> Inference:
    limits = RequestLimits(
        inputs=settings.max_request_inputs,
        top_k=settings.max_top_k,
        masks=settings.max_masks,
        queued_inputs=settings.max_queued_inputs,
        line_bytes=settings.max_body_bytes,
        token_ids=build_reader(settings.token_ids),
        embed_overflow=settings.embed_overflow,
    )
    fetcher = MediaFetcher(settings.media_hosts, max_bytes=settings.max_body_bytes, timeout=settings.media_timeout)
    keys = AnswerKeys(pool.device_type, str(pool.dtype))
    return Inference(pool, limits, fetcher, SharedAnswers(keys, _build_cache(settings), observer))


def _build_cache(settings: Settings) -> AnswerCache | None:
    match settings.cache:
        case "memory":
            return MemoryCache(settings.cache_answer_bytes)
        case "redis" if settings.cache_redis_url is not None:
            return RedisCache(
                settings.cache_redis_url, max_bytes=settings.cache_answer_bytes, seconds=settings.cache_redis_seconds
            )
    return None


@asynccontextmanager
async def local_inference(settings: Settings) -> AsyncIterator[Inference]:
    """Answers in this process, without a server. A model is loaded when it is first asked."""
    pool = build_pool(settings, open_store(settings))
    inference = build_inference(settings, pool)
    await pool.start()
    try:
        yield inference
    finally:
        inference.close()
        await inference.answers.close()
        await pool.stop()
