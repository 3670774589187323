"""The work of a job that trains."""

from dataclasses import replace
from functools import partial

from app.devices import gpu_metrics, resolve_device
from app.jobs.spec import pretraining_spec
from app.methods import METHODS, preset
from app.settings import Settings
from app.system.child import die_with_parent
from app.system.disk_space import DiskReserve
from app.system.pool_process import ProcessLimits
from app.training.cluster.ray_run import ClusterPlan, run_on_ray
from app.training.data.source_file import SourceFile
from app.training.job import TrainingJob, TrainingResult
from app.training.run import run
from app.worker.attempt import Attempt, AttemptServices
from app.worker.loggers import open_loggers
from app.worker.pretraining import train_and_publish
from app.worker.remote_files import RemoteFiles
from app.worker.reports import Reports
from app.worker.run_probes import open_probes
from app.worker.system import SystemMetrics


def train(attempt: Attempt, reports: Reports, services: AttemptServices) -> TrainingResult:
    with RemoteFiles(attempt, reports, services) as remote:
        training = describe_run(attempt, services, remote)
        if services.settings.trainer == "ray":
            return _train(attempt, reports, services.settings, training)
        with open_probes(pretraining_spec(attempt.job), services, training.device) as probes:
            return _train(attempt, reports, services.settings, replace(training, probes=probes))


def _train(attempt: Attempt, reports: Reports, settings: Settings, training: TrainingJob) -> TrainingResult:
    on_ray = settings.trainer == "ray"
    device = resolve_device("cpu" if on_ray else training.device)  # of this machine, whose metrics are reported
    with open_loggers(attempt.job, attempt.folder, settings.mlflow_tracking_uri, settings.mlflow_experiment) as loggers:
        reports.attach(SystemMetrics(partial(gpu_metrics, device)), loggers)
        result = run_on_ray(training, plan_cluster(attempt, settings), reports) if on_ray else run(training, reports)
        loggers.status = "KILLED" if result.outcome.stopped else "FINISHED"
    return result


def plan_cluster(attempt: Attempt, settings: Settings) -> ClusterPlan:
    """Returns where on the cluster the processes of an attempt are placed."""
    spec = pretraining_spec(attempt.job)
    wanted, processes = spec.resources, int(spec.hyperparameters.get("processes", 1))
    on_each = max(1, processes // (wanted.nodes or 1))  # processes of a machine; of all if their number is open
    device = wanted.device or ("cuda" if wanted.gpus or settings.devices[0].startswith("cuda") else "cpu")
    memory = int(wanted.memory_gb * 2**30) // on_each if wanted.memory_gb and device == "cpu" else None
    return ClusterPlan(
        name=f"{attempt.job.id}-{attempt.claim.attempt}",
        address=settings.ray_address,
        nodes=wanted.nodes,
        device=device,
        cpus=max(1, (wanted.threads or on_each) // on_each),
        memory_bytes=memory,
    )


def describe_run(attempt: Attempt, services: AttemptServices, remote: RemoteFiles) -> TrainingJob:
    """Builds the trainer's input: files and models as paths of this machine.

    Raises FileNotFound and ModelNotFound, and as `RemoteFiles.fetch` does.
    """
    job, settings = attempt.job, services.settings
    spec = pretraining_spec(job)
    hyperparameters = METHODS[spec.method].hyperparameters.model_validate(spec.hyperparameters)

    def source(file_id: str, weight: float = 1.0) -> SourceFile:
        if file_id in spec.remote_files:
            return remote.fetch(spec.remote_files[file_id], weight)
        file = services.files.get(file_id)
        return SourceFile(services.files.path(file_id), file.filename, file.sha256, weight)

    weights = spec.weights or (1.0,) * len(spec.training_files)
    models = [getattr(hyperparameters, field) for field in hyperparameters.MODEL_FIELDS]
    return TrainingJob(
        method=spec.method,
        model=spec.model if preset(spec.model) is not None else services.store.resolve(spec.model).path,
        hyperparameters=hyperparameters,
        training_files=tuple(map(source, spec.training_files, weights)),
        validation_files=(source(spec.validation_file),) if spec.validation_file else (),
        run_dir=attempt.folder,
        cache_dir=settings.cache_dir,
        cache_bytes=settings.cache_bytes,
        disk_reserve=DiskReserve(settings.var_dir, settings.disk_reserve_bytes).size,
        model_folders={model: services.store.resolve(model).path for model in models if model},
        device=_device(settings.devices[0], spec.resources.device),
        threads=settings.training_threads,
        decoder_limits=ProcessLimits(settings.decoder_memory_bytes, settings.decoder_seconds),
        extended_from=job.extended_at_step,
        memory_kills=job.memory_kills,
        bind=die_with_parent,
    )


def _device(given: str, wanted: str | None) -> str:
    """Returns the device of a job. Only workers that have it get the job; CLOZE_DEVICE may name the GPU."""
    return given if wanted is None or given.startswith(wanted) else wanted


execute = train_and_publish(train)
