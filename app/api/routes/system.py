"""The state of the server, for probes, scrapers and people."""

from typing import Any

from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool
from prometheus_client import CONTENT_TYPE_LATEST

from app import __version__
from app.api.deps import ServicesDep
from app.errors import ModelNotFound, NotReady

router = APIRouter(tags=["System"])


@router.get("/health")
async def health(services: ServicesDep) -> dict[str, str]:
    """Tells whether the server is alive. The response is 503 if a thread of the device has died."""
    if not services.pool.healthy:
        raise NotReady("a thread of the device is dead; it is being restarted")
    return {"status": "ok"}


@router.get("/ready")
async def ready(services: ServicesDep) -> dict[str, str]:
    """Tells whether the server is ready. The response is 503 until the default model has answered once, and while the
    server drains before it stops.
    """
    if services.draining:
        raise NotReady("the server is about to stop")
    if services.warm_up_error is not None:
        # What failed at the start may have been mended since, and loaded for a request or an operator.
        if not services.pool.has_default():
            raise NotReady(services.warm_up_error)
        services.warm_up_error = None
    await health(services)
    return {"status": "ready"}


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(services: ServicesDep) -> Response:
    """Returns the metrics for Prometheus."""
    return Response(services.metrics.render(), media_type=CONTENT_TYPE_LATEST)


@router.get("/info")
async def info(services: ServicesDep) -> dict[str, Any]:
    """Returns the server's version, device and limits."""
    settings, pool = services.settings, services.pool
    try:
        default_model = await run_in_threadpool(pool.default_id)
    except (NotReady, ModelNotFound):
        default_model = None
    return {
        "name": "cloze",
        "version": __version__,
        "model_id": default_model,
        "loaded_models": pool.loaded(),
        "device": ",".join(pool.devices),
        "dtype": str(pool.dtype).removeprefix("torch."),
        "max_batch_tokens": pool.batcher.max_tokens,
        "max_concurrent_inputs": settings.max_queued_inputs,
        "max_client_batch_size": settings.max_request_inputs,
        "max_body_bytes": settings.max_body_bytes,
        "max_file_bytes": settings.max_file_bytes,
        "max_masks": settings.max_masks,
        "max_top_k": settings.max_top_k,
        "jobs": services.jobs is not None,
    }
