"""Hyperparameters of the methods that mask patches."""

from collections.abc import Iterable
from typing import Any

from pydantic import Field, model_validator

from app.errors import InvalidValue
from app.methods.base import MAX_COUNT, Schedule, TrainingHyperparameters

DECODER = ("decoder_layers", "decoder_hidden_size")  # fixed in a stored model
VIEWS = 2  # of each item where items are told apart


class PatchHyperparameters(TrainingHyperparameters):
    """As in masked autoencoders (arXiv 2111.06377), appendix A.1, where the shared ones have other defaults."""

    schedule: Schedule = Field("cosine", description="Learning-rate schedule after the warmup")
    weight_decay: float = Field(0.05, ge=0, le=1, description="AdamW's; biases and norms do not decay")
    adam_beta2: float = Field(0.95, ge=0, lt=1, description="AdamW's decay of the gradients' squares")
    max_eval_samples: int = Field(
        256, ge=1, le=MAX_COUNT, description="Held-out samples that an evaluation reads, the same each time"
    )

    batch_size: int = Field(64, ge=1, le=65_536, description="Items of an optimiser step, all micro-batches together")
    mask_ratio: float | None = Field(
        None, gt=0, lt=1, description="Share of the patches to hide and predict; the model's own"
    )
    contrast_weight: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="Weight of a contrastive loss between two views of each item of a micro-batch; 0 is off",
    )
    max_broken_share: float = Field(
        0.5, ge=0, le=1, description="Share of the data files that may be broken before the job fails"
    )

    @model_validator(mode="after")
    def _check_micro_batches(self) -> "PatchHyperparameters":
        parts = self.gradient_accumulation_steps * self.processes
        if self.batch_size < parts:
            raise ValueError(f"a batch_size of {self.batch_size} cannot be cut into {parts} micro-batches")
        if self.contrast_weight and self.batch_size < 2 * parts:
            raise ValueError("a contrast_weight needs micro-batches of two items or more, to tell them apart")
        return self

    @property
    def views(self) -> int:
        """The views of an item that a step computes."""
        return VIEWS if self.contrast_weight else 1


class DecoderHyperparameters(PatchHyperparameters):
    """Hyperparameters of models with ViTMAE's decoder."""

    decoder_layers: int | None = Field(
        None, ge=1, le=32, description="Layers of a preset's decoder; a stored model keeps its own; the preset's"
    )
    decoder_hidden_size: int | None = Field(
        None, ge=32, le=4096, multiple_of=32, description="Width of the decoder, a multiple of 32; the preset's"
    )
    norm_pix_loss: bool | None = Field(
        None,
        description="Predict each patch in its own mean and deviation: better features, worse picture; the model's own",
    )


def settings_of(hyperparameters: PatchHyperparameters) -> dict[str, Any]:
    """Fields of the configuration that a job may set anew, so that the model it makes is used as it was trained."""
    names = ("mask_ratio", "mask_strategy", "norm_pix_loss")
    return {name: value for name in names if (value := getattr(hyperparameters, name, None)) is not None}


def refuse_fixed(hyperparameters: PatchHyperparameters, names: Iterable[str]) -> None:
    """Raises InvalidValue if one of these is given, which a stored model has already."""
    if given := [name for name in names if getattr(hyperparameters, name, None) is not None]:
        raise InvalidValue(f"`{given[0]}` is fixed in a stored model; it is for presets", param=given[0])
