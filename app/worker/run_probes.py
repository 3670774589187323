"""The probes of a training job: the evaluations that it repeats at each of its own evaluations."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from app.devices import batch_tokens, resolve_device
from app.evaluation.run_probe import ProbeMethod, ProbePlan, RunProbe
from app.jobs.kinds import EvaluationSpec, PretrainingSpec
from app.methods import METHODS
from app.system.pool_process import ProcessLimits
from app.system.process_pool import ProcessPool
from app.worker.attempt import AttemptServices
from app.worker.labelled_sources import find_labelled_files, name_labelled_columns


@contextmanager
def open_probes(spec: PretrainingSpec, services: AttemptServices, device: str) -> Iterator[list[RunProbe]]:
    """Yields the probes of a job. The processes that decode their files end with the context. Raises FileNotFound."""
    settings, modality = services.settings, METHODS[spec.method].modality
    limits = ProcessLimits(settings.decoder_memory_bytes, settings.decoder_seconds)
    budget = settings.max_batch_tokens or batch_tokens(resolve_device(device))
    with ProcessPool(settings.decoder_processes, limits) as decoders:
        plans = [_plan(each, modality, services) for each in spec.interval_evaluations.values()]
        yield [RunProbe(plan, decoders, budget) for plan in plans]


def _plan(spec: EvaluationSpec, modality: str, services: AttemptServices) -> ProbePlan:
    files = find_labelled_files(spec, services)
    sequences = files.pop("sequence_file", None)
    return ProbePlan(
        name=spec.name,
        method=cast(ProbeMethod, spec.methods[0]),
        labels_per_class=spec.labels_per_class[0],
        files=list(files.values()),
        columns=name_labelled_columns(spec),
        label_type=spec.label_type,
        modality=modality,
        sequences=sequences,
    )
