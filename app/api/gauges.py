"""Metrics that are read at each scrape of /metrics: queue, models, cache, machine."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app import __version__
from app.api.deps import Services
from app.api.job_gauges import JobsCollector
from app.inference.answer_cache import AnswerCache
from app.serving.gpu_use import GpuUse, measure_gpus
from app.serving.pool import EnginePool
from app.system.disk_space import DiskReserve, disk_usage
from app.system.proc import read_memory


def watch(services: Services) -> None:
    """Adds the metrics of an application's parts."""
    settings, pool, registry = services.settings, services.pool, services.metrics.registry
    registry.register(EngineCollector(pool))
    models = settings.model_store if isinstance(settings.model_store, Path) else settings.model_copies_dir
    registry.register(
        MachineCollector(
            {"var_dir": settings.var_dir, "model_store": models},
            DiskReserve(settings.var_dir, settings.disk_reserve_bytes),
            partial(measure_gpus, pool.devices),
        )
    )
    ProcessCollector(registry=registry)
    if (cache := services.inference.answers.cache) is not None:
        registry.register(CacheCollector(cache))
    if services.jobs is not None:
        registry.register(JobsCollector(services.jobs.overview))


def gauge(name: str, help_text: str, values: float | Mapping[str, float], label: str = "") -> GaugeMetricFamily:
    """Makes a gauge with one value, or with one for each value of a label."""
    if not isinstance(values, Mapping):
        return GaugeMetricFamily(name, help_text, value=values)
    family = GaugeMetricFamily(name, help_text, labels=[label])
    for of, value in values.items():
        family.add_metric([of], value)
    return family


class ScrapeCollector(Collector):
    """A collector that is not asked before the first scrape."""

    def describe(self) -> Iterator[Metric]:
        yield from ()


class EngineCollector(ScrapeCollector):
    """The queue of the device, and the models in memory."""

    def __init__(self, pool: EnginePool) -> None:
        self._pool = pool

    def collect(self) -> Iterator[Metric]:
        pool = self._pool
        batcher, memory = pool.batcher, pool.memory()
        yield gauge("cloze_queue_depth", "Inputs that wait for the device", pool.queue_depth)
        yield gauge("cloze_inputs_in_progress", "Inputs that are prepared, wait or are computed", batcher.in_use)
        yield gauge("cloze_inputs_limit", "Inputs that may be in progress at once", batcher.max_inputs)
        yield gauge("cloze_loaded_models", "Models in memory", len(memory))
        yield gauge("cloze_model_weight_bytes", "Bytes of the weights of each model in memory", memory, "model")
        weights = {device: float(pool.device_bytes(device)) for device in pool.devices}
        yield gauge("cloze_weight_bytes", "Bytes of weights in the memory of each device", weights, "device")
        yield gauge("cloze_healthy", "Whether all threads of the device are alive", pool.healthy)


class CacheCollector(ScrapeCollector):
    """The cache of answers."""

    def __init__(self, cache: AnswerCache) -> None:
        self._cache = cache

    def collect(self) -> Iterator[Metric]:
        size = self._cache.size
        yield gauge("cloze_cache_answers", "Answers in the cache", size.answers)
        yield gauge("cloze_cache_answer_bytes", "Bytes of the answers in the cache", size.bytes)
        yield CounterMetricFamily(
            "cloze_cache_failures", "Calls that the cache did not answer", value=self._cache.failures
        )


class MachineCollector(ScrapeCollector):
    """Memory, disks and GPUs of the server's machine.

    folders: by the value of the label. gpus: measures the GPUs that models are served on.
    """

    def __init__(self, folders: Mapping[str, Path], reserve: DiskReserve, gpus: Callable[[], Sequence[GpuUse]]) -> None:
        self._folders, self._reserve, self._gpus = folders, reserve, gpus

    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily("cloze_info", "The version of the server; the value is 1", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        memory = read_memory()
        yield gauge("cloze_memory_bytes", "Memory of the machine", memory["MemTotal"])
        yield gauge("cloze_memory_available_bytes", "Memory of the machine that is not in use", memory["MemAvailable"])
        disks = {name: disk_usage(folder.absolute()) for name, folder in self._folders.items()}
        sizes = {name: float(disk.total) for name, disk in disks.items()}
        free = {name: float(disk.free) for name, disk in disks.items()}
        yield gauge("cloze_disk_bytes", "Size of the disk of a folder", sizes, "folder")
        yield gauge("cloze_disk_free_bytes", "Free bytes of the disk of a folder", free, "folder")
        yield gauge("cloze_disk_reserve_bytes", "Bytes of the disk of var_dir that stay free", self._reserve.size)
        yield from self._collect_gpus()

    def _collect_gpus(self) -> Iterator[Metric]:
        gpus = self._gpus()
        sizes = {gpu.name: float(gpu.memory_bytes) for gpu in gpus}
        used = {gpu.name: float(gpu.used_bytes) for gpu in gpus}
        busy = {gpu.name: gpu.utilization for gpu in gpus if gpu.utilization is not None}
        if gpus:
            yield gauge("cloze_gpu_memory_bytes", "Memory of a GPU", sizes, "gpu")
            yield gauge("cloze_gpu_memory_used_bytes", "Memory of a GPU that is in use", used, "gpu")
        if busy:
            yield gauge("cloze_gpu_utilization_ratio", "Share of the time in which a GPU computes", busy, "gpu")
