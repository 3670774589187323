"""Gauges whose values are read at each scrape of /metrics."""

from app.api.deps import Services


def watch(services: Services) -> None:
    """Adds the gauges of an application's parts to its metrics."""
    metrics, pool = services.metrics, services.pool
    metrics.watch_engine(lambda: pool.queue_depth, lambda: len(pool.loaded()))
    metrics.watch_devices(pool.devices, pool.device_bytes)
    if (cache := services.inference.answers.cache) is not None:
        metrics.watch_cache(cache)
    if services.jobs is not None:
        metrics.watch_jobs(services.jobs.count_by_state)
