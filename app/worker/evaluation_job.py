"""The work of a job that evaluates models."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np

from app.datasets.label_checks import EvaluationData, check_labels
from app.datasets.labelled_files import read_labelled
from app.datasets.text_rows import find_text_method
from app.evaluation.baselines import Baseline, count_baseline, extract_features, media_baseline
from app.evaluation.embedding import Embedder, EngineOptions
from app.evaluation.figures import draw_figures
from app.evaluation.report import build_report, write_csv, write_markdown, write_splits
from app.evaluation.results import Findings
from app.evaluation.run import EvaluationPlan, Vectors, evaluate
from app.evaluation.serialization import serialize
from app.evaluation.summary import describe_labels, summarize_findings
from app.evaluation.thumbnails import add_thumbnails
from app.evaluation.unreadable import leave_out_unreadable
from app.jobs.kinds import EvaluationSpec
from app.jobs.spec import Progress
from app.modalities.registry import MODALITIES
from app.store.store import ModelEntry
from app.system.disk_space import DiskReserve
from app.system.pool_process import ProcessLimits
from app.system.process_pool import ProcessPool
from app.training.data.cache import evict
from app.training.hooks import Stopped
from app.worker.attempt import Attempt, AttemptServices
from app.worker.head_publication import fit_best, publish_best
from app.worker.labelled_sources import find_labelled_files, name_labelled_columns
from app.worker.reports import Reports
from app.worker.text_evaluation import TextJob, run_text_method

REPORT = "report.json"
_INTERVAL = 0.5  # seconds between two questions whether to stop, and between two reports
_PAUSES = 20  # the pause after a report, in the times that it took to write
_KEPT_VECTORS = 256 * 2**20  # bytes of the vectors of one model that are kept as an artifact


def execute(attempt: Attempt, reports: Reports, services: AttemptServices) -> ModelEntry | None:
    """Evaluates the models and writes the report. Returns the classifier, if one is to be published.

    Raises Stopped when the job is to stop.
    """
    spec, settings = attempt.job.spec, services.settings
    assert isinstance(spec, EvaluationSpec)
    hooks = JobHooks(reports)
    models = [services.store.resolve(model) for model in spec.models]
    plan = EvaluationPlan(models, spec.methods, spec.labels_per_class, spec.seeds)
    options = EngineOptions(settings.devices[0], settings.dtype, settings.worker_threads, settings.max_batch_tokens)
    reserve = DiskReserve(settings.var_dir, settings.disk_reserve_bytes).size
    if (method := find_text_method(spec.methods)) is not None:
        embedder = Embedder(services.store, settings.cache_dir, options, None, settings.cache_bytes, reserve)
        run_text_method(
            TextJob(spec, method, find_labelled_files(spec, services)["file"], models), embedder, reports, hooks
        )
        evict(settings.cache_dir, settings.cache_bytes)
        return None
    limits = ProcessLimits(settings.decoder_memory_bytes, settings.decoder_seconds)
    with ProcessPool(settings.decoder_processes, limits) as processes:
        embedder = Embedder(services.store, settings.cache_dir, options, processes, settings.cache_bytes, reserve)
        data, baseline = _read(_ReadingPlan(spec, models, embedder, processes), services, hooks)
        try:
            done = evaluate(plan, data, baseline, embedder, hooks)
        finally:
            hooks.save_report()  # of what there is, also if the job was stopped or failed
        if (make := MODALITIES[models[0].manifest.modality].thumbnail()) is not None:
            add_thumbnails(done.findings, make, processes)
        best = None
        if spec.publish:
            hooks.on_step("Fitting the classifier with all labels")
            best = fit_best(done.findings, embedder, spec.label_column, hooks.on_decoded)
    evict(settings.cache_dir, settings.cache_bytes)
    _finish(spec, done.findings, reports)
    reports.save_artifact("splits.json", write_splits(done.findings, done.splits))
    reports.report_progress(Progress(percent=100.0))
    reports.flush()
    return publish_best(best, attempt, reports, services) if best else None


@dataclass(frozen=True)
class _ReadingPlan:
    """The files of an evaluation and the means to read them. models: of one modality."""

    spec: EvaluationSpec
    models: Sequence[ModelEntry]
    embedder: Embedder
    processes: ProcessPool


def _read(plan: _ReadingPlan, services: AttemptServices, hooks: "JobHooks") -> tuple[EvaluationData, Baseline | None]:
    """Reads the labelled items that every model can read, and the features of the baseline."""
    spec, processes, modality = plan.spec, plan.processes, plan.models[0].manifest.modality
    files = find_labelled_files(spec, services)
    sequences = files.pop("sequence_file", None)
    found = read_labelled(files.values(), name_labelled_columns(spec), modality, sequences=sequences)
    plain = MODALITIES[modality].plain_features()
    features = {}
    if plain is not None:
        hooks.on_step(f"Decoding {len(found.items):,} files")
        features = extract_features(found, plain, processes, hooks.on_decoded)
    hooks.on_step(f"Checking that the models can read {len(found.items):,} items")
    handlers = map(plan.embedder.load_handler, plan.models)
    leave_out_unreadable(found, handlers, processes, hooks.on_decoded)
    data = check_labels(found, spec.label_type)
    for warning in data.warnings:
        hooks.on_warning(warning)
    texts = [item.content for item in data.items if isinstance(item.content, str)]
    if texts:
        return data, count_baseline(texts)
    if plain is None:
        return data, None
    return data, media_baseline(plain, np.stack([features[item] for item in data.items]))


def _finish(spec: EvaluationSpec, findings: Findings, reports: Reports) -> None:
    summary = summarize_findings(findings)
    reports.save_artifact(REPORT, _serialize(findings, complete=True))
    reports.save_artifact("report.csv", write_csv(findings).encode())
    reports.save_artifact("report.md", write_markdown(spec.name, findings, summary).encode())
    for name, figure in draw_figures(findings):
        reports.save_artifact(name, figure)
    best, baseline = (each and each.interval(findings.metric) for each in (summary.best, summary.baseline))
    reports.on_verdict(
        {
            "learnt": summary.beats_baseline,
            "measure": findings.metric,
            "value": best and best.mean,
            "baseline": findings.baseline if baseline else None,
            "baseline_value": baseline and baseline.mean,
            "summary": " ".join(summary.sentences),
            "advice": summary.advice,
        }
    )


def _serialize(findings: Findings, *, complete: bool) -> bytes:
    return serialize(build_report(findings, complete=complete))


class JobHooks:
    """Reports an evaluation to its job's record. Raises Stopped as soon as the job is to stop."""

    def __init__(self, reports: Reports, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._reports, self._clock = reports, clock
        self._begun = clock()
        self._asked_at, self._write_at = -_INTERVAL, 0.0
        self._unwritten: Findings | None = None

    def on_step(self, message: str) -> None:
        self._check()
        self._reports.on_event(message)

    def on_warning(self, message: str) -> None:
        self._reports.on_event(message, level="warn")

    def on_decoded(self, files: int) -> None:
        self._check()

    def on_share(self, share: float) -> None:
        now = self._clock()
        if now - self._asked_at < _INTERVAL:
            return
        self._asked_at = now
        self._check()
        left = (now - self._begun) * (1 - share) / share if share > 0 else None
        self._reports.report_progress(Progress(percent=round(100 * share, 2), eta_seconds=left))

    def on_result(self, findings: Findings) -> None:
        result = findings.results[-1]
        interval = result.interval(findings.metric)
        labels = "without labels" if not result.labels else f"with {describe_labels(findings, result.labels_per_class)}"
        score = f": {findings.metric} {interval.mean:.3f}" if interval else ""
        self._unwritten = findings
        if self._clock() >= self._write_at:
            self.save_report()
        self._reports.on_event(f"{result.model or findings.baseline}, {result.method}, {labels}{score}")

    def save_report(self) -> None:
        """Writes the results that are not written yet. Large reports are written less often."""
        if self._unwritten is None:
            return
        begun = self._clock()
        self._reports.save_artifact(REPORT, _serialize(self._unwritten, complete=False))
        self._unwritten = None
        self._write_at = self._clock() + max(_INTERVAL, _PAUSES * (self._clock() - begun))

    def on_vectors(self, name: str, vectors: Vectors) -> None:
        if vectors.nbytes > _KEPT_VECTORS:
            return
        stream = BytesIO()
        np.save(stream, vectors)
        self._reports.save_artifact(f"{name}.npy", stream.getvalue())

    def _check(self) -> None:
        if reason := self._reports.should_stop():
            raise Stopped(reason)
