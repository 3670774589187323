"""Checks whether the processes of a job can be placed on machines as its `resources` ask."""

from typing import Literal

from app.errors import InvalidValue
from app.methods import TrainingHyperparameters
from app.submission.submission import Submission


def check_placement(
    submission: Submission, hyperparameters: TrainingHyperparameters, trainer: Literal["local", "ray"]
) -> None:
    """Raises InvalidValue for resources that no trainer of this kind has, or that contradict `processes`."""
    wanted, processes = submission.resources, hyperparameters.processes
    nodes = wanted.nodes or 1
    if nodes > 1 and trainer != "ray":
        _refuse("nodes", "a job runs on one machine, unless CLOZE_TRAINER is ray")
    if processes % nodes:
        _refuse("nodes", f"{processes} processes cannot be spread evenly over {nodes} machines; set `processes`")
    if wanted.gpus is not None and wanted.device == "cpu":
        _refuse("gpus", "a job with the device cpu has no GPUs")
    if wanted.gpus is not None and wanted.gpus != processes:
        _refuse("gpus", f"each process has its own GPU: {wanted.gpus} GPUs need as many `processes`, not {processes}")
    if submission.interval_evaluations and trainer == "ray":
        raise InvalidValue(
            "scores during a run are not measured if CLOZE_TRAINER is ray; leave out the evaluation, or its `when`",
            param="evaluations",
        )


def _refuse(field: Literal["nodes", "gpus"], message: str) -> None:
    raise InvalidValue(message, param=f"resources.{field}")
