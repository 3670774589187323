"""Estimates of a job's cost from the beginning of its files and its model's configuration."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from app.jobs.spec import Estimate, Job
from app.store.store import ModelStore
from app.submission.estimates.base import Material, recent_jobs
from app.submission.estimates.patches import clips, estimate_patches, images, sounds
from app.submission.estimates.text import estimate_text
from app.types import Modality

__all__ = ["ESTIMATORS", "Material", "recent_jobs"]

# (the model, its hyperparameters, what was seen of the files, the store, recent jobs) → what a modality's jobs take;
# raises InvalidData. One without a line has jobs without an estimate.
ESTIMATORS: dict[Modality, Callable[[str, Any, Any, ModelStore, Sequence[Job]], Estimate]] = {
    Modality.TEXT: estimate_text,
    Modality.IMAGE: partial(estimate_patches, images),
    Modality.AUDIO: partial(estimate_patches, sounds),
    Modality.VIDEO: partial(estimate_patches, clips),
}
