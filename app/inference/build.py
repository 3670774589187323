"""Builds what answers requests from the settings: for the server, and for a command without a server."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from app.devices import batch_tokens, resolve_device, resolve_dtype
from app.inference.limits import RequestLimits
from app.inference.remote_media import MediaFetcher
from app.inference.service import Inference
from app.inference.token_ids import build_reader
from app.modalities import registry
from app.modalities.served_model import ServedModel
from app.serving.observer import EngineObserver
from app.serving.pool import EnginePool
from app.serving.runner import Runner
from app.settings import Settings
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
    """load: reads a model folder; the registry's loader by default."""
    device = resolve_device(settings.device)
    runner = Runner(
        device,
        max_batch_tokens=settings.max_batch_tokens or batch_tokens(device),
        max_queued_inputs=settings.max_queued_inputs,
        forwards=settings.forwards,
        threads=settings.threads,
        observer=observer,
    )
    decoding = ProcessLimits(settings.decoder_memory_bytes, settings.decoder_seconds, niceness=_NICENESS)
    return EnginePool(
        store,
        runner,
        load=load or partial(registry.load, dtype=resolve_dtype(settings.dtype, device)),
        dtype=settings.dtype,
        default_model=settings.default_model,
        max_loaded=settings.max_loaded_models,
        max_bytes=settings.model_memory_bytes,
        observer=observer,
        decoders=ProcessPool(settings.decoder_processes, decoding),
    )


def build_inference(settings: Settings, pool: EnginePool) -> Inference:
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
    return Inference(pool, limits, fetcher)


@asynccontextmanager
async def local_inference(settings: Settings) -> AsyncIterator[Inference]:
    """Answers in this process, without a server. A model is loaded when it is first asked."""
    pool = build_pool(settings, ModelStore(settings.model_store))
    inference = build_inference(settings, pool)
    await pool.start()
    try:
        yield inference
    finally:
        inference.close()
        await pool.stop()
